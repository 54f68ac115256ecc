/* Printer is the job of the benchmark of capture: it prints BYTES of lines of 100 bytes in
 * writes of SIZE, and notes in FILE how many seconds that took it, and how much CPU.
 *
 *	printer BYTES SIZE FILE
 *
 * It is in C because a program in Go spends half as much again on each small write (its
 * threads share a table of files, its scheduler is told of each call), and hides what the
 * reader costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum { line = 100, text = 40000 * line };

/* fill makes lines that differ as a log's do. */
static void fill(char *to) {
	unsigned long long chance = 88172645463325252ULL;
	for (int at = 0; at < text; at += line) {
		chance ^= chance << 13, chance ^= chance >> 7, chance ^= chance << 17;
		char now[line + 1];
		snprintf(now, sizeof now,
			"2026-11-22T14:%02d:%02d.%06lluZ INFO worker-%llu loss=0.%06llu id=%016llx ....................................",
			at / line / 60 % 60, at / line % 60, chance % 1000000, chance % 16, chance / 16 % 1000000, chance);
		memcpy(to + at, now, line - 1);
		to[at + line - 1] = '\n';
	}
}

static double seconds(struct timeval t) { return t.tv_sec + t.tv_usec / 1e6; }

int main(int count, char **args) {
	if (count != 4) {
		fprintf(stderr, "printer BYTES SIZE FILE\n");
		return 2;
	}
	long long left = atoll(args[1]);
	long long size = atoll(args[2]);
	char *from = malloc(text);
	if (from == NULL || size < 1 || size > text) {
		fprintf(stderr, "printer: SIZE must lie between 1 and %d\n", text);
		return 2;
	}
	fill(from);
	struct timespec begun, over;
	clock_gettime(CLOCK_MONOTONIC, &begun);
	for (long long at = 0; left > 0;) {
		long long want = size < left ? size : left;
		if (at + want > text)
			at = 0;
		ssize_t took = write(1, from + at, want);
		if (took <= 0) {
			perror("printer: write");
			return 1;
		}
		at += took, left -= took;
	}
	clock_gettime(CLOCK_MONOTONIC, &over);
	struct rusage used;
	getrusage(RUSAGE_SELF, &used);
	FILE *note = fopen(args[3], "w");
	if (note == NULL) {
		perror("printer: the file for its time");
		return 1;
	}
	fprintf(note, "%.6f %.6f\n", (over.tv_sec - begun.tv_sec) + (over.tv_nsec - begun.tv_nsec) / 1e9,
		seconds(used.ru_utime) + seconds(used.ru_stime));
	return fclose(note) != 0;
}
