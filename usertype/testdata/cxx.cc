namespace app {
struct Request { int id; };
struct Base { long tag; };
struct Owner { int fd; ~Owner(); };
Owner::~Owner() { fd = -1; }
class Server : public Base {
public:
	int hits;
	static int all;
	int handle(Request &req, int n);
};
int Server::all;
__attribute__((noinline)) int Server::handle(Request &req, int n) { return hits += req.id + n + all; }
__attribute__((noinline)) Owner make(long n) { Owner o; o.fd = (int)n; return o; }
}
int main(int argc, char **) {
	app::Server s{};
	app::Request r{argc};
	return s.handle(r, 3) + app::make(argc).fd;
}
