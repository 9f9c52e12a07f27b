/* SPDX-License-Identifier: BSD-2-Clause
 *
 * Frames from one tap to another, as fast as one processor can: load SOURCE TARGET SIZE COUNT < FRAME
 *
 * FRAME is filled up to SIZE. Prints the seconds of processor that one frame took, and how many came. The kernel carries
 * a frame to the other tap within the write(2), so that the time is that of its whole way.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_tun.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

enum { LARGEST = 65536, AT_ONCE = 64 };

static int tap(const char *name)
{
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    int descriptor = open("/dev/net/tun", O_RDWR | O_NONBLOCK);

    snprintf(request.ifr_name, sizeof request.ifr_name, "%s", name);
    if (descriptor < 0 || ioctl(descriptor, TUNSETIFF, &request) < 0) {
        perror(name);
        exit(1);
    }
    return descriptor;
}

static double used(void)
{
    struct timespec now;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
    static unsigned char frame[LARGEST], found[LARGEST];
    long size, count, sent, came = 0;
    int source, target;
    double begin;

    if (argc != 5)
        return 2;
    source = tap(argv[1]);
    target = tap(argv[2]);
    size = atol(argv[3]);
    count = atol(argv[4]);
    if (read(0, frame, sizeof frame) < 14 || size > LARGEST)
        return 2;
    /* What came before does not count. */
    sleep(1);
    while (read(target, found, sizeof found) > 0)
        ;
    begin = used();
    for (sent = 0; sent < count; sent++) {
        if (write(source, frame, size) != size) {
            perror("write");
            return 1;
        }
        if (sent % AT_ONCE == AT_ONCE - 1)
            while (read(target, found, sizeof found) > 0)
                came++;
    }
    while (read(target, found, sizeof found) > 0)
        came++;
    printf("{\"seconds_each\": %.12f, \"came\": %ld}\n", (used() - begin) / count, came);
    return 0;
}
