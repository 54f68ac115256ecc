// Package typo finds the name that a mistyped one may mean.
package typo

// Nearest returns the name closest to a mistyped one, or empty when none is close: at most two
// letters wrong, missing, extra or swapped, and less than half of the word. Of names that are equally close
// it is the first.
func Nearest(typed string, names []string) string {
	best, bestDistance := "", min(3, (len(typed)+2)/2)
	for _, name := range names {
		if d := len(name) - len(typed); d > 2 || d < -2 {
			continue
		}
		if d := distance(typed, name); d > 0 && (d < bestDistance) {
			best, bestDistance = name, d
		}
	}
	return best
}

// distance counts the letters to change, insert, delete or swap with a neighbour between
// two words (optimal string alignment).
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}
