/*
 * Loaded into QEMU (LD_PRELOAD): the packets of its user networking carry up to 64 KiB instead of 1500 bytes, for which QEMU has no option.
 * The guest learns the size from its network card (`host_mtu` in command-line.ts). docs/decisions/007-large-packets.md says why.
 */
typedef unsigned long size_t;
extern void *dlsym(void *handle, const char *name);

/* The largest that libslirp takes is 65521. */
enum { MTU = 65520 };
#define RTLD_NEXT ((void *)-1L)

/* SlirpConfig of libslirp.h as far as the sizes of packets: what was there in its first version stays where it is. */
struct slirp_config {
    unsigned version;
    int restricted;
    _Bool in_enabled;
    unsigned vnetwork, vnetmask, vhost;
    _Bool in6_enabled;
    unsigned vprefix_addr6[4];
    unsigned char vprefix_len;
    unsigned vhost6[4];
    const char *vhostname, *tftp_server_name, *tftp_path, *bootfile;
    unsigned vdhcp_start, vnameserver, vnameserver6[4];
    const char **vdnssearch, *vdomainname;
    size_t if_mtu, if_mru;
};

void *slirp_new(struct slirp_config *config, const void *callbacks, void *opaque)
{
    void *(*next)(struct slirp_config *, const void *, void *) = dlsym(RTLD_NEXT, "slirp_new");
    /* 0 is libslirp's default; a QEMU that says a size of its own keeps it. */
    if (config->version >= 1 && config->if_mtu == 0 && config->if_mru == 0)
        config->if_mtu = config->if_mru = MTU;
    return next(config, callbacks, opaque);
}
