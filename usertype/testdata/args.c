// Functions whose arguments a tracer has to find: each is called once, with
// the values that the tests know.
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#define KEEP __attribute__((noinline, noclone, used))
struct inner { int x, y; };
struct point { long a; struct inner in; const char *name; unsigned lo : 3, mid : 7; int hi : 5; char tail[]; };
struct pair { long first, second; };
struct big { long v[4]; };
struct mixed { double d; long l; };
struct small { char c; short s; };
struct node { struct node *next; union { int i; float f; char bytes[4]; } u; int grid[2][3]; };
enum colour { RED = -1, GREEN = 5 };
typedef struct pair pair_t;
volatile long sink;

KEEP int scalars(char c, short s, int i, long l, unsigned char u, bool b) { sink = c + s + i + l + u + b; return (int)sink; }
KEEP long floats_first(double d, float f, int i, long l) { sink = (long)(d + f) + i + l; return sink; }
KEEP long many(int a, int b, int c, int d, int e, int f, int g, long h) { sink = a + b + c + d + e + f + g + h; return sink; }
KEEP long by_value(struct pair p, int after) { sink = p.first + p.second + after; return sink; }
KEEP long by_memory(struct big b, int after) { sink = b.v[0] + b.v[3] + after; return sink; }
KEEP long by_mixed(struct mixed m, int after) { sink = (long)m.d + m.l + after; return sink; }
KEEP long tiny(struct small s, int after) { sink = s.c + s.s + after; return sink; }
KEEP long pointers(const struct point *p, struct node *n, enum colour c) { sink = p->a + n->u.i + c; return sink; }
KEEP struct pair ret_pair(long x) { struct pair p = {x, x + 1}; sink = x; return p; }
KEEP struct big ret_big(long x) { struct big b = {{x, 0, 0, x}}; sink = x; return b; }
KEEP double ret_double(long x) { sink = x; return (double)x; }
KEEP struct mixed ret_mixed(long x) { struct mixed m = {1, x}; sink = x; return m; }
KEEP struct small ret_small(long x) { struct small m = {1, (short)x}; sink = x; return m; }
KEEP void ret_nothing(pair_t *p, int (*fn)(int, char *)) { sink = p->first + (fn != 0); }
KEEP int variadic(const char *fmt, ...) { sink = fmt[0]; return 1; }
static __attribute__((noinline)) int pruned(int unused, struct pair *p, int used) { sink += p->second; return (int)sink + used; }
int call_pruned(struct pair *p, int n) { return pruned(1, p, n) + pruned(2, p, n + 1); }

int main(void) {
	struct pair p = {11, 22};
	struct big b = {{31, 32, 33, 34}};
	struct mixed m = {1.5, 44};
	struct small s = {5, 6};
	static struct point pt;
	static struct node n;
	scalars('c', -2, 3, 4, 250, true);
	floats_first(1.5, 2.5f, 7, 8);
	many(1, 2, 3, 4, 5, 6, 77, 88);
	by_value(p, 55);
	by_memory(b, 56);
	by_mixed(m, 57);
	tiny(s, 58);
	pointers(&pt, &n, GREEN);
	ret_pair(1);
	ret_big(2);
	ret_double(3);
	ret_mixed(3);
	ret_small(3);
	ret_nothing(&p, 0);
	variadic("v", 1, 2.0);
	call_pruned(&p, 9);
	return 0;
}
