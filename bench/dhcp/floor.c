// SPDX-License-Identifier: BSD-2-Clause
// The least that a DHCPv4 server on NFQUEUE can do: the floor that ours is measured by.
//
//   floor QUEUE < LINES      each line: INTERFACE ADDRESS
//
// It answers every DISCOVER and REQUEST of an interface with the interface's address and a fixed set of options, from a
// template with the transaction ID put in, and lets all else pass. No settings, log, counters, limits, or reloading.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <libnetfilter_queue/libnetfilter_queue.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

enum { IP = 14, UDP = 34, BOOTP = 42, OPTIONS = BOOTP + 240, TYPE = OPTIONS + 2, INDEXES = 65536 };
enum { DISCOVER = 1, OFFER = 2, REQUEST = 3, ACK = 5 };

struct reply {
    uint8_t frame[512];
    int length;
    uint32_t sum; // of all that the UDP checksum covers and that does not change
};

static struct reply *replies[INDEXES];
static int out;

static void fail(const char *what) {
    perror(what);
    exit(1);
}

static uint32_t sum(const uint8_t *at, int length) {
    uint32_t total = 0;
    for (int i = 0; i + 1 < length; i += 2) total += at[i] << 8 | at[i + 1];
    if (length & 1) total += at[length - 1] << 8;
    return total;
}

static uint16_t checksum(uint32_t total) {
    while (total >> 16) total = (total & 0xffff) + (total >> 16);
    uint16_t made = ~total;
    return made ? made : 0xffff;
}

static void put16(uint8_t *at, uint16_t value) {
    at[0] = value >> 8;
    at[1] = value;
}

// Subnet mask, broadcast, router, name servers, domain, MTU, lease and renewal time, server identifier.
static const char OPTIONS_TOLD[] = "\x35\x01\x00\x36\x04\xc0\x00\x02\x01\x33\x04\x00\x09\x3a\x80\x3a\x04\x00\x00\x0e\x10"
                                   "\x01\x04\xff\xff\x00\x00\x1c\x04\x0a\x4d\xff\xff\x03\x04\x0a\x4d\x00\x01"
                                   "\x06\x08\xc0\x00\x02\x02\xc0\x00\x02\x03\x0f\x0b" "example.com" "\x1a\x02\x05\xdc"
                                   "\x0c\x02vm\xff";

static struct reply *template(const char *name, const char *address) {
    struct reply *reply = calloc(1, sizeof *reply);
    struct ifreq request = {0};
    snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
    if (ioctl(out, SIOCGIFHWADDR, &request)) fail(name);
    uint8_t *frame = reply->frame, *ip = frame + IP, *udp = frame + UDP, *bootp = frame + BOOTP;
    memcpy(frame + 6, request.ifr_hwaddr.sa_data, 6);
    put16(frame + 12, 0x0800);
    bootp[0] = 2;
    bootp[1] = 1;
    bootp[2] = 6;
    if (inet_pton(AF_INET, address, bootp + 16) != 1) fail(address);
    memcpy(bootp + 236, "\x63\x82\x53\x63", 4);
    memcpy(frame + OPTIONS, OPTIONS_TOLD, sizeof OPTIONS_TOLD - 1);
    reply->length = OPTIONS + sizeof OPTIONS_TOLD - 1;
    if (reply->length < BOOTP + 300) reply->length = BOOTP + 300;
    int datagram = reply->length - UDP;
    ip[0] = 0x45;
    put16(ip + 2, datagram + 20);
    ip[8] = 64;
    ip[9] = IPPROTO_UDP;
    memcpy(ip + 12, "\xc0\x00\x02\x01", 4);
    memcpy(ip + 16, bootp + 16, 4);
    put16(ip + 10, checksum(sum(ip, 20)));
    put16(udp, 67);
    put16(udp + 2, 68);
    put16(udp + 4, datagram);
    reply->sum = sum(ip + 12, 8) + IPPROTO_UDP + datagram + sum(udp, datagram);
    return reply;
}

// Whether the packet was one of ours.
static int answer(const uint8_t *packet, int length, uint32_t index) {
    const struct reply *reply = index < INDEXES ? replies[index] : NULL;
    const uint8_t *bootp = packet + 28;
    if (reply == NULL) return 0;
    if (length < 28 + 240 || packet[0] != 0x45 || packet[9] != IPPROTO_UDP || bootp[0] != 1) return 1;
    uint8_t type = 0;
    for (int at = 28 + 240; at + 2 < length && packet[at] != 255;) {
        if (packet[at] == 53) {
            type = packet[at + 2];
            break;
        }
        at += packet[at] == 0 ? 1 : 2 + packet[at + 1];
    }
    if (type != DISCOVER && type != REQUEST) return 1;
    uint8_t frame[512];
    memcpy(frame, reply->frame, reply->length);
    memcpy(frame, bootp + 28, 6);
    memcpy(frame + BOOTP + 4, bootp + 4, 4);
    memcpy(frame + BOOTP + 28, bootp + 28, 6);
    frame[TYPE] = type == DISCOVER ? OFFER : ACK;
    // The type is the first byte of a word of 16 bits.
    put16(frame + UDP + 6, checksum(reply->sum + sum(bootp + 4, 4) + sum(bootp + 28, 6) + (frame[TYPE] << 8)));
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_ifindex = index, .sll_protocol = htons(0x0800)};
    sendto(out, frame, reply->length, MSG_DONTWAIT, (void *)&where, sizeof where);
    return 1;
}

static int handle(struct nfq_q_handle *queue, struct nfgenmsg *message, struct nfq_data *data, void *nothing) {
    (void)message, (void)nothing;
    struct nfqnl_msg_packet_hdr *header = nfq_get_msg_packet_hdr(data);
    uint8_t *payload;
    int length = nfq_get_payload(data, &payload);
    uint32_t index = nfq_get_physindev(data);
    int ours = answer(payload, length, index ? index : nfq_get_indev(data));
    return nfq_set_verdict(queue, ntohl(header->packet_id), ours ? NF_DROP : NF_ACCEPT, 0, NULL);
}

int main(int argc, char **argv) {
    char name[IFNAMSIZ], address[INET_ADDRSTRLEN], message[8192] __attribute__((aligned));
    if (argc != 2) return 2;
    if ((out = socket(AF_PACKET, SOCK_RAW, 0)) < 0) fail("socket");
    while (scanf("%15s %15s", name, address) == 2) replies[if_nametoindex(name) % INDEXES] = template(name, address);
    struct nfq_handle *library = nfq_open();
    struct nfq_q_handle *queue = library ? nfq_create_queue(library, atoi(argv[1]), handle, NULL) : NULL;
    if (queue == NULL) fail("queue");
    nfq_set_mode(queue, NFQNL_COPY_PACKET, 4016);
    nfq_set_queue_maxlen(queue, 4096);
    nfq_set_queue_flags(queue, NFQA_CFG_F_FAIL_OPEN, NFQA_CFG_F_FAIL_OPEN);
    int in = nfq_fd(library), room = 16 << 20;
    setsockopt(in, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    for (;;) {
        int length = recv(in, message, sizeof message, 0);
        if (length >= 0)
            nfq_handle_packet(library, message, length);
        else if (errno != ENOBUFS)
            fail("recv");
    }
}
