/*
 * receive BYTES: moves so many bytes that come on the connection with descriptor 3 into the file with descriptor 1, for envd. By
 * splice(2): the pages of the packets are copied into the file's once, and no byte passes through envd.
 * docs/decisions/009-uploads-past-node.md
 *
 * Exit status: 0 all of them are in the file; 255 the connection ended before, or nothing came for two minutes; any other: the errno
 * with which the file was not written.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <unistd.h>

enum { file = 1, connection = 3 };
enum { broke_off = 255 };
/* What a pipe may hold at most unless the kernel is told otherwise, in bytes. */
enum { pipe_bytes = 1 << 20 };
/* The kernel wakes this program for so much: the fewer turns, the less an emulated CPU has to translate. */
enum { low_water_bytes = 512 << 10 };
enum { patience_ms = 120000 };
/* The disk begins with so much while the rest comes: less is left to wait for at the end. */
enum { write_out_bytes = 4 << 20 };

static void set_low_water(long left)
{
    int bytes = left < low_water_bytes ? (int)left : low_water_bytes;
    setsockopt(connection, SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes);
}

/* Waits for bytes and moves them into the pipe, after patience_ms also fewer than the low water. Returns how many; 0 when no more come. */
static long take(int pipe, long left)
{
    for (;;) {
        struct pollfd ready = { connection, POLLIN, 0 };
        int events = poll(&ready, 1, patience_ms);
        if (events < 0 && errno == EINTR)
            continue;
        if (events < 0)
            return 0;
        long taken = splice(connection, 0, pipe, 0, left < pipe_bytes ? left : pipe_bytes, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (taken < 0 && (errno == EINTR || (errno == EAGAIN && events > 0)))
            continue;
        return taken < 0 ? 0 : taken;
    }
}

int main(int count, char **arguments)
{
    if (count != 2)
        return EINVAL;
    /* envd is who answers for the file: without it nobody does. */
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    int pipes[2];
    if (pipe(pipes) != 0)
        return errno;
    fcntl(pipes[1], F_SETPIPE_SZ, pipe_bytes);
    long left = atol(arguments[1]);
    long waiting = 0;
    for (long written = 0; left > 0;) {
        set_low_water(left);
        long taken = take(pipes[1], left);
        if (taken == 0)
            return broke_off;
        left -= taken;
        while (taken > 0) {
            long moved = splice(pipes[0], 0, file, 0, taken, SPLICE_F_MOVE);
            if (moved < 0 && errno == EINTR)
                continue;
            if (moved < 0)
                return errno;
            taken -= moved;
            written += moved;
            waiting += moved;
        }
        if (waiting >= write_out_bytes) {
            sync_file_range(file, written - waiting, waiting, SYNC_FILE_RANGE_WRITE);
            waiting = 0;
        }
    }
    return 0;
}
