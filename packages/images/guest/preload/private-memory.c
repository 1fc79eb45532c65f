/*
 * Loaded into QEMU (LD_PRELOAD): the guest's memory is mapped MAP_PRIVATE, copy on write, from a file that is only read, while QEMU
 * believes that it is shared. docs/decisions/004-private-memory.md says why. CITB_MEMORY is the path of that file.
 */
typedef unsigned long size_t;
extern long syscall(long number, ...);
extern char *getenv(const char *name);
extern int strcmp(const char *a, const char *b);

#if defined(__x86_64__)
enum { SYS_mmap = 9, SYS_openat = 257, SYS_fallocate = 285, SYS_prctl = 157 };
#elif defined(__aarch64__)
enum { SYS_mmap = 222, SYS_openat = 56, SYS_fallocate = 47, SYS_prctl = 167 };
#endif
enum { AT_FDCWD = -100, O_ACCMODE = 3, O_CREAT = 0100, O_CLOEXEC = 02000000, MAP_SHARED = 1, MAP_TYPE = 15, MAP_PRIVATE = 2, MAP_NORESERVE = 0x4000, PR_SET_PTRACER = 0x59616d61 };

static int memory = -1;

int open64(const char *path, int flags, unsigned mode)
{
    const char *wanted = getenv("CITB_MEMORY");
    if (wanted != 0 && strcmp(path, wanted) == 0) {
        /* Yama lets only a parent near the memory; a daemon that was started again is none. Other users stay out as ever. */
        syscall(SYS_prctl, PR_SET_PTRACER, -1L, 0, 0, 0);
        return memory = (int)syscall(SYS_openat, AT_FDCWD, path, O_CLOEXEC, 0);
    }
    return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode);
}

/* What glibc's _FORTIFY_SOURCE makes of an open without a mode. */
int __open64_2(const char *path, int flags)
{
    return open64(path, flags, 0);
}

/*
 * Memory that the guest gives back: QEMU punches a hole into the file and drops the pages. The file is others' too, and read-only;
 * dropping the pages is enough, for the guest expects nothing of what it gave back.
 */
int fallocate64(int fd, int mode, long offset, long length)
{
    if (fd >= 0 && fd == memory)
        return 0;
    return (int)syscall(SYS_fallocate, fd, mode, offset, length);
}

void *mmap64(void *address, size_t length, int protection, int flags, int fd, long offset)
{
    if (fd >= 0 && fd == memory && (flags & MAP_TYPE) == MAP_SHARED)
        flags = (flags & ~MAP_TYPE) | MAP_PRIVATE | MAP_NORESERVE;
    return (void *)syscall(SYS_mmap, address, length, protection, flags, fd, offset);
}
