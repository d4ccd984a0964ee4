// A threaded server without a network: what tests and examples look into.
//
//   server [-w] [REQUESTS [THREADS [DELAY_US]]]
//
// handles REQUESTS requests (default 100) spread over THREADS threads (default
// 2), with DELAY_US microseconds between two of a thread, and prints one line
// at the end: how many, and a checksum of what it did, which shows whether it
// was disturbed. With -w it prints "ready PID" first and waits for a line on
// its standard input.
//
// On purpose there are requests whose client is NULL, or points nowhere:
// request i has no client when i % 10 == 3, and a wild one when i % 10 == 7.
// The program itself never follows those.
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// A call that the compiler looked through would not arrive with its arguments.
#ifdef __clang__
#define NOINLINE __attribute__((noinline, optnone))
#else
#define NOINLINE __attribute__((noinline, noclone, noipa))
#endif

enum method { GET = 1, PUT = 2, DELETE = 4 };

struct address {
	uint8_t ip[4];
	uint16_t port;
};

struct client {
	int id;
	char name[16];
	struct address addr;
	struct client *referrer; // a longer chain
};

struct header {
	const char *name;
	const char *value;
};

struct request {
	uint64_t id;
	enum method method;
	const char *path;
	size_t len;
	struct client *client; // may be NULL, or wild
	struct header headers[2];
	unsigned int priority : 3;
	unsigned int retries : 5;
	signed int balance : 6;
	unsigned int keep_alive : 1;
	int sizes[4];
	bool secure;
	union {
		uint32_t status;
		uint8_t bytes[4];
	} reply;
	double weight;
};

struct pair {
	long first, second;
};

struct small {
	short x, y;
};

struct big {
	long words[5];
};

struct options {
	long requests, threads, delay;
};

static struct options options = {100, 2, 0};
static struct client clients[2] = {
	{.id = 1, .name = "alice", .addr = {{127, 0, 0, 1}, 8080}, .referrer = NULL},
	{.id = 2, .name = "bob", .addr = {{10, 0, 0, 2}, 443}, .referrer = &clients[0]},
};
static const char *paths[4] = {"/", "/index.html", "/api/v1/users", "/a/rather/long/path/that/goes/on"};
static struct client *const wild = (struct client *)0x10;

// Floats and by-value structs stand before integers: counting parameters goes wrong here.
NOINLINE long mixed(float f, struct pair by_value, int n, double d, long last)
{
	return (long)(f * 2) + by_value.first + by_value.second + n + (long)d + last;
}

// A struct of 16 bytes at most goes in registers, a larger one on the stack.
NOINLINE long by_value(struct small s, struct big b, int n)
{
	return s.x + s.y + b.words[0] + b.words[4] + n;
}

// More integers than registers.
NOINLINE long many(int a, int b, int c, int d, int e, int f, int g, long h)
{
	return a + b + c + d + e + f + g + h;
}

NOINLINE const char *method_name(enum method m)
{
	switch (m) {
	case GET:
		return "GET";
	case PUT:
		return "PUT";
	case DELETE:
		return "DELETE";
	}
	return NULL;
}

// The one to trace. Returns the status; 0 for a request without a client.
NOINLINE int handle_request(struct request *req)
{
	if (req->client == NULL || req->client == wild)
		return 0;
	req->reply.status = 200 + req->client->id;
	return (int)req->reply.status;
}

NOINLINE uint64_t depth(int n)
{
	if (n <= 0)
		return 0;
	return 1 + depth(n - 1);
}

static void fill(struct request *req, uint64_t i)
{
	static const enum method methods[3] = {GET, PUT, DELETE};

	memset(req, 0, sizeof *req);
	req->id = i;
	req->method = methods[i % 3];
	req->path = paths[i % 4];
	req->len = strlen(req->path);
	req->client = i % 10 == 3 ? NULL : i % 10 == 7 ? wild : &clients[i % 2];
	req->headers[0] = (struct header){"Host", "example.org"};
	req->headers[1] = (struct header){"Accept", i % 2 ? "text/html" : "*/*"};
	req->priority = i % 8;
	req->retries = i % 32;
	req->balance = (int)(i % 64) - 32;
	req->keep_alive = i % 2;
	for (int k = 0; k < 4; k++)
		req->sizes[k] = (int)i * 10 + k;
	req->secure = i % 2;
	req->weight = (double)i / 2;
}

static uint64_t one(uint64_t i)
{
	struct request req;
	uint64_t sum;

	fill(&req, i);
	sum = (uint64_t)handle_request(&req);
	sum += (uint64_t)mixed(1.5f * (float)i, (struct pair){(long)i, -(long)i}, (int)i, 2.5 * (double)i, 7);
	sum += (uint64_t)by_value((struct small){1, 2}, (struct big){{(long)i, 0, 0, 0, 3}}, (int)i);
	sum += (uint64_t)many(1, 2, 3, 4, 5, 6, (int)i, 8);
	sum += strlen(method_name(req.method));
	sum += depth((int)(i % 4));
	return sum;
}

struct work {
	pthread_t thread;
	long first, step;
	uint64_t sum;
};

static void *worker(void *arg)
{
	struct work *w = arg;

	for (long i = w->first; i < options.requests; i += w->step) {
		w->sum += one((uint64_t)i);
		if (options.delay)
			usleep((useconds_t)options.delay);
	}
	return NULL;
}

int main(int argc, char **argv)
{
	struct work works[64];
	uint64_t sum = 0;
	long *counts[3] = {&options.requests, &options.threads, &options.delay};
	bool wait = argc > 1 && strcmp(argv[1], "-w") == 0;

	argv += wait;
	for (int i = 0; i < 3 && argv[1 + i]; i++)
		*counts[i] = atol(argv[1 + i]);
	if (options.threads < 1 || options.threads > 64) {
		fprintf(stderr, "server: 1 to 64 threads\n");
		return 2;
	}
	if (wait) {
		printf("ready %d\n", (int)getpid());
		fflush(stdout);
		while (getchar() != '\n' && !feof(stdin))
			;
	}
	for (long i = 0; i < options.threads; i++) {
		works[i] = (struct work){.first = i, .step = options.threads};
		if (pthread_create(&works[i].thread, NULL, worker, &works[i])) {
			fprintf(stderr, "server: no thread\n");
			return 1;
		}
	}
	for (long i = 0; i < options.threads; i++) {
		pthread_join(works[i].thread, NULL);
		sum += works[i].sum;
	}
	printf("%ld requests, checksum %llu\n", options.requests, (unsigned long long)sum);
	return 0;
}
