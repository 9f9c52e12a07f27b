// SPDX-License-Identifier: BSD-2-Clause
// Many DHCPv4 clients in one process: how fast a server answers, how long a client waits, what is lost.
//
//   load (-t PREFIX | -i LINK) -n CLIENTS [-w WINDOW | -r RATE | -s] [-d SECONDS] [-T MILLISECONDS] [-u] [-g]
//
//   -t  each client has a tap of its own, PREFIX0 and so on, which is opened here as QEMU does
//   -i  all clients are behind one link
//   -w  closed loop: so many exchanges are under way at any time
//   -r  open loop: so many exchanges begin in a second, whatever comes back
//   -s  a storm: every client begins at once, and begins again after a loss; ends with the last lease
//   -T  after so long an exchange is given up (in a storm: is tried again)
//   -u  no two requests are alike: each has another host name
//   -g  say "ready" and go when a line comes on stdin
//
// One exchange is DISCOVER, OFFER, REQUEST, ACK. Stdout is one JSON object.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/filter.h>
#include <linux/if_packet.h>
#include <linux/if_tun.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define SECOND 1000000000ull
#define MILLISECOND 1000000ull

// Where things are in a frame without IP options.
enum { IP = 14, UDP = 34, BOOTP = 42, OPTIONS = BOOTP + 240, SHORTEST = BOOTP + 300, LONGEST = 2048 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5, NAK = 6 };
enum state { IDLE, SELECTING, REQUESTING, BOUND };

struct client {
    int fd;
    uint8_t mac[6];
    enum state state;
    uint32_t xid;
    uint64_t begin, deadline;
    uint8_t address[4], server[4];
};

static struct client *clients;
static uint32_t number = 1;
static bool unlike, storm, running;
static uint64_t patience = SECOND;
static uint64_t begun, done, lost, refused, unsent, exchange;

// Of each exchange, in microseconds.
static float *waits;
static size_t waits_kept, waits_room;

static uint64_t now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * SECOND + t.tv_nsec;
}

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint8_t *option(uint8_t *at, uint8_t code, const void *content, uint8_t length) {
    *at++ = code;
    *at++ = length;
    memcpy(at, content, length);
    return at + length;
}

static uint16_t header_checksum(const uint8_t *header) {
    uint32_t sum = 0;
    for (int i = 0; i < 20; i += 2) sum += header[i] << 8 | header[i + 1];
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return ~sum;
}

static void put16(uint8_t *at, uint16_t value) {
    at[0] = value >> 8;
    at[1] = value;
}

// A frame as a Linux client sends it, without a UDP checksum (RFC 768 allows 0); its length.
static int build(uint8_t *frame, const struct client *client, uint8_t type) {
    static const uint8_t asked[] = {1, 28, 2, 3, 15, 6, 119, 12, 44, 47, 26, 121, 42};
    memset(frame, 0, LONGEST);
    memset(frame, 0xff, 6);
    memcpy(frame + 6, client->mac, 6);
    put16(frame + 12, 0x0800);

    uint8_t *bootp = frame + BOOTP;
    bootp[0] = bootp[1] = 1;
    bootp[2] = 6;
    memcpy(bootp + 4, &client->xid, 4);
    memcpy(bootp + 28, client->mac, 6);
    memcpy(bootp + 236, "\x63\x82\x53\x63", 4);

    uint8_t *at = option(frame + OPTIONS, 53, &type, 1);
    uint8_t identifier[7] = {1};
    memcpy(identifier + 1, client->mac, 6);
    at = option(at, 61, identifier, 7);
    if (type == REQUEST) {
        at = option(at, 50, client->address, 4);
        at = option(at, 54, client->server, 4);
    }
    char name[16];
    snprintf(name, sizeof name, "guest-%08" PRIx64, unlike ? exchange & 0xffffffff : 0);
    at = option(at, 12, name, strlen(name));
    at = option(at, 55, asked, sizeof asked);
    *at++ = 255;

    int length = at - frame;
    if (length < SHORTEST) length = SHORTEST;
    uint8_t *ip = frame + IP, *udp = frame + UDP;
    ip[0] = 0x45;
    put16(ip + 2, length - IP);
    ip[8] = 64;
    ip[9] = 17;
    memset(ip + 16, 0xff, 4);
    put16(ip + 10, header_checksum(ip));
    put16(udp, 68);
    put16(udp + 2, 67);
    put16(udp + 4, length - UDP);
    return length;
}

static void tell(const struct client *client, uint8_t type) {
    uint8_t frame[LONGEST];
    int length = build(frame, client, type);
    if (write(client->fd, frame, length) != length) unsent++;
}

static void begin(struct client *client, uint64_t at) {
    exchange++;
    client->xid = htonl((uint32_t)(client - clients) << 12 | (exchange & 0xfff));
    client->state = SELECTING;
    client->begin = at;
    client->deadline = at + patience;
    begun++;
    tell(client, DISCOVER);
}

static void try_again(struct client *client, uint64_t at) {
    client->deadline = at + patience;
    lost++;
    tell(client, client->state == SELECTING ? DISCOVER : REQUEST);
}

// The type of a reply; 0 for one that is cut off. Its server identifier goes to *server*.
static uint8_t read_options(const uint8_t *at, const uint8_t *end, uint8_t *server) {
    uint8_t type = 0;
    while (at < end && *at != 255) {
        if (*at == 0) {
            at++;
            continue;
        }
        if (at + 2 > end || at + 2 + at[1] > end) return 0;
        if (at[0] == 53 && at[1] == 1) type = at[2];
        if (at[0] == 54 && at[1] == 4) memcpy(server, at + 2, 4);
        at += 2 + at[1];
    }
    return type;
}

// Whether an exchange has ended by this frame.
static bool take(const uint8_t *frame, int length, uint64_t at) {
    static const uint8_t reply[] = {0x08, 0x00, 0x45};
    if (length < OPTIONS || memcmp(frame + 12, reply, 3) || frame[IP + 9] != 17 || frame[UDP + 3] != 68) return false;
    uint32_t xid;
    memcpy(&xid, frame + BOOTP + 4, 4);
    uint32_t index = ntohl(xid) >> 12;
    if (frame[BOOTP] != 2 || index >= number || clients[index].xid != xid) return false;
    struct client *client = &clients[index];
    uint8_t server[4] = {0};
    uint8_t type = read_options(frame + OPTIONS, frame + length, server);
    if (type == OFFER && client->state == SELECTING) {
        memcpy(client->address, frame + BOOTP + 16, 4);
        memcpy(client->server, server, 4);
        client->state = REQUESTING;
        client->deadline = at + patience;
        tell(client, REQUEST);
    } else if (type == ACK && client->state == REQUESTING) {
        client->state = BOUND;
        done++;
        if (waits_kept < waits_room) waits[waits_kept++] = (at - client->begin) / 1e3;
        return true;
    } else if (type == NAK && client->state != BOUND) {
        client->state = BOUND;
        refused++;
        return true;
    }
    return false;
}

static int link_socket(const char *name) {
    int fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0);
    if (fd < 0) fail("socket");
    struct sock_filter to_a_client[] = {
        {BPF_LD | BPF_H | BPF_ABS, 0, 0, 12}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 5, 0x0800},
        {BPF_LD | BPF_B | BPF_ABS, 0, 0, 23}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 3, 17},
        {BPF_LD | BPF_H | BPF_ABS, 0, 0, 36}, {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 68},
        {BPF_RET | BPF_K, 0, 0, 65535},       {BPF_RET | BPF_K, 0, 0, 0},
    };
    struct sock_fprog program = {sizeof to_a_client / sizeof *to_a_client, to_a_client};
    int room = 16 << 20, yes = 1;
    setsockopt(fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUFFORCE, &room, sizeof room);
    setsockopt(fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes);
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(3), .sll_ifindex = if_nametoindex(name)};
    if (where.sll_ifindex == 0 || bind(fd, (void *)&where, sizeof where)) fail(name);
    // Replies are to MACs that the link does not have.
    struct packet_mreq every = {.mr_ifindex = where.sll_ifindex, .mr_type = PACKET_MR_PROMISC};
    if (setsockopt(fd, SOL_PACKET, PACKET_ADD_MEMBERSHIP, &every, sizeof every)) fail("promiscuous");
    return fd;
}

static int open_tap(const char *prefix, uint32_t index) {
    int fd = open("/dev/net/tun", O_RDWR | O_NONBLOCK);
    if (fd < 0) fail("/dev/net/tun");
    struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
    snprintf(request.ifr_name, IFNAMSIZ, "%s%u", prefix, index);
    if (ioctl(fd, TUNSETIFF, &request)) fail(request.ifr_name);
    return fd;
}

static void watch(int epoll, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event)) fail("epoll_ctl");
}

// Begin with the next client that is not busy; false when all are.
static bool begin_one(uint64_t at) {
    static uint32_t turn;
    for (uint32_t tries = 0; tries < number; tries++) {
        struct client *client = &clients[turn];
        turn = (turn + 1) % number;
        if (client->state == IDLE || client->state == BOUND) {
            begin(client, at);
            return true;
        }
    }
    return false;
}

// Give up or repeat what is late; how many exchanges are still under way.
static uint32_t look_at_clocks(uint64_t at, bool closed_loop) {
    uint32_t busy = 0;
    for (uint32_t i = 0; i < number; i++) {
        struct client *client = &clients[i];
        if (client->state != SELECTING && client->state != REQUESTING) continue;
        if (at < client->deadline) {
            busy++;
        } else if (storm) {
            try_again(client, at);
            busy++;
        } else {
            client->state = IDLE;
            lost++;
            if (closed_loop && running) begin_one(now());
        }
    }
    return busy;
}

static int ascending(const void *a, const void *b) {
    float x = *(const float *)a, y = *(const float *)b;
    return (x > y) - (x < y);
}

static double share(double part) { return waits_kept ? waits[(size_t)((waits_kept - 1) * part)] : 0; }

static void report(double seconds) {
    struct rusage used;
    getrusage(RUSAGE_SELF, &used);
    double cpu = used.ru_utime.tv_sec + used.ru_stime.tv_sec + (used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
    qsort(waits, waits_kept, sizeof *waits, ascending);
    printf("{\"seconds\": %.6f, \"begun\": %" PRIu64 ", \"done\": %" PRIu64 ", \"lost\": %" PRIu64
           ", \"refused\": %" PRIu64 ", \"unsent\": %" PRIu64 ", \"p50_us\": %.1f, \"p99_us\": %.1f, \"max_us\": %.1f"
           ", \"cpu_s\": %.3f}\n",
           seconds, begun, done, lost, refused, unsent, share(0.5), share(0.99), share(1), cpu);
}

int main(int argc, char **argv) {
    const char *prefix = NULL, *link = NULL;
    uint32_t window = 1;
    double rate = 0, length = 5;
    bool wait_for_go = false;
    for (int flag; (flag = getopt(argc, argv, "t:i:n:w:r:d:T:sug")) > 0;) switch (flag) {
        case 't': prefix = optarg; break;
        case 'i': link = optarg; break;
        case 'n': number = strtoul(optarg, NULL, 10); break;
        case 'w': window = strtoul(optarg, NULL, 10); break;
        case 'r': rate = strtod(optarg, NULL); break;
        case 'd': length = strtod(optarg, NULL); break;
        case 'T': patience = strtod(optarg, NULL) * MILLISECOND; break;
        case 's': storm = true; break;
        case 'u': unlike = true; break;
        case 'g': wait_for_go = true; break;
        default: return 2;
        }
    // Of the transaction ID 20 bits tell the client.
    if ((prefix == NULL) == (link == NULL) || number < 1 || number >= 1 << 20) return 2;

    struct rlimit files = {number + 64, number + 64};
    if (prefix && setrlimit(RLIMIT_NOFILE, &files)) fail("RLIMIT_NOFILE");
    clients = calloc(number, sizeof *clients);
    waits_room = 1 << 22;
    waits = malloc(waits_room * sizeof *waits);
    int epoll = epoll_create1(0), shared = link ? link_socket(link) : -1;
    if (link) watch(epoll, shared);
    for (uint32_t i = 0; i < number; i++) {
        uint8_t mac[6] = {0x52, 0x54, 0x10, i >> 16, i >> 8, i};
        memcpy(clients[i].mac, mac, 6);
        clients[i].fd = prefix ? open_tap(prefix, i) : shared;
        if (prefix) watch(epoll, clients[i].fd);
    }
    if (wait_for_go) {
        puts("ready");
        fflush(stdout);
        if (getchar() == EOF) return 1;
    }
    // What the node itself has sent to its new taps meanwhile.
    uint8_t frame[LONGEST];
    for (uint32_t i = 0; i < number; i++)
        while (read(clients[i].fd, frame, sizeof frame) > 0) {}

    running = true;
    uint64_t start = now(), end = start + length * SECOND, last_look = start, last_lease = start;
    uint64_t interval = rate > 0 ? SECOND / rate : 0, next = start;
    if (storm)
        for (uint32_t i = 0; i < number; i++) begin(&clients[i], start);
    else if (!interval)
        for (uint32_t i = 0; i < window && i < number; i++) begin_one(now());
    for (;;) {
        uint64_t at = now();
        if (at >= end || (storm && done + refused >= number)) running = false;
        // An open loop counts from when an exchange was due, so that a late start is seen as waiting.
        if (interval && running)
            for (int burst = 0; next <= at && burst < 64; burst++, next += interval) begin_one(next);
        if (at - last_look > 20 * MILLISECOND || !running) {
            last_look = at;
            uint32_t busy = storm && !running ? 0 : look_at_clocks(at, !interval);
            if (!running && (busy == 0 || at > end + 2 * patience)) break;
        }
        struct epoll_event events[64];
        int ready = epoll_wait(epoll, events, 64, interval && running ? 0 : 1);
        for (int i = 0; i < ready; i++)
            for (int reads = 0, got; reads < (link ? 64 : 4); reads++) {
                got = read(events[i].data.fd, frame, sizeof frame);
                if (got <= 0) break;
                if (!take(frame, got, now())) continue;
                last_lease = now();
                if (running && !interval && !storm) begin_one(last_lease);
            }
    }
    report((storm ? last_lease - start : (uint64_t)(length * SECOND)) / 1e9);
    return 0;
}
