#include <stdio.h>
#include <unistd.h>
struct req { int id; const char *path; };
__attribute__((noinline)) long handle(struct req *r, int n, double d) { return r->id + n + (long)d; }
__attribute__((noinline)) long handle_more(struct req *r) { return r->id; }
static __attribute__((noinline)) int hidden(int a) { return a + 1; }
int main(int argc, char **argv) {
	struct req r = {argc, argv[0]};
	return (int)(handle(&r, 1, 2) + handle_more(&r) + hidden(argc)) == -1;
}
