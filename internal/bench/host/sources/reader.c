/* Reader is the least that a job which prints can feel of a pipe: it keeps nothing, and
 * rests between reads, so that no write has to wake it. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

int main(void) {
	const size_t most = 1 << 20;
	const struct timespec rest = {.tv_nsec = 300 * 1000};
#ifdef F_SETPIPE_SZ
	fcntl(0, F_SETPIPE_SZ, (int)most); /* a refusal leaves it smaller, and is felt */
#endif
	char *to = malloc(most);
	if (to == NULL)
		return 1;
	for (ssize_t n; (n = read(0, to, most)) != 0;) {
		if (n < 0)
			return 1;
		nanosleep(&rest, NULL);
	}
	return 0;
}
