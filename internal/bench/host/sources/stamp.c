/* stamp FILE: appends the time of its start to a file, in nanoseconds since 1970. */
#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
	struct timespec now;
	char line[32];
	int file, n;

	clock_gettime(CLOCK_REALTIME, &now);
	if (argc != 2)
		return 2;
	file = open(argv[1], O_WRONLY | O_APPEND | O_CREAT, 0666);
	n = snprintf(line, sizeof line, "%lld\n", (long long)now.tv_sec * 1000000000 + now.tv_nsec);
	return file < 0 || write(file, line, n) != n;
}
