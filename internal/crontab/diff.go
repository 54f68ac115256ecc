package crontab

import (
	"fmt"
	"strings"
)

// context is how many lines a difference shows around what changes.
const context = 3

// change is a line of a difference: ' ', '-' or '+' and the text.
type change struct {
	mark     byte
	text     string
	old, new int // numbers of the line in both crontabs, from 1
}

// Diff returns what changes between two crontabs that differ in Stint's lines only, as diff -u prints it
// below its header; empty for nothing.
func Diff(before, after Table) string {
	changes := changesOf(before.Lines, after.Lines)
	var b strings.Builder
	for i := 0; i < len(changes); {
		if changes[i].mark == ' ' {
			i++
			continue
		}
		from, to := max(i-context, 0), i
		for quiet := 0; to < len(changes) && quiet <= 2*context; to++ {
			quiet++
			if changes[to].mark != ' ' {
				quiet = 0
			}
		}
		for to > i && changes[to-1].mark == ' ' && trailing(changes[:to]) > context {
			to--
		}
		writeHunk(&b, changes[from:to])
		i = to
	}
	return b.String()
}

// trailing returns how many lines at the end do not change.
func trailing(changes []change) (n int) {
	for n < len(changes) && changes[len(changes)-1-n].mark == ' ' {
		n++
	}
	return n
}

func writeHunk(b *strings.Builder, changes []change) {
	old, added := 0, 0
	for _, c := range changes {
		if c.mark != '+' {
			old++
		}
		if c.mark != '-' {
			added++
		}
	}
	fmt.Fprintf(b, "@@ -%d,%d +%d,%d @@\n", changes[0].old, old, changes[0].new, added)
	for _, c := range changes {
		b.WriteByte(c.mark)
		b.WriteString(strings.TrimSuffix(c.text, "\n"))
		b.WriteByte('\n')
		if !strings.HasSuffix(c.text, "\n") {
			b.WriteString("\\ No newline at end of file\n")
		}
	}
}

// changesOf pairs the lines that are not Stint's, which both have. Between two of them, equal lines of
// Stint do not change.
func changesOf(before, after []Line) (all []change) {
	old, next := 1, 1
	add := func(mark byte, l Line) {
		all = append(all, change{mark, l.Text, old, next})
		if mark != '+' {
			old++
		}
		if mark != '-' {
			next++
		}
	}
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(before) > 0 && len(after) > 0 && before[0].Text == after[0].Text:
			add(' ', before[0])
			before, after = before[1:], after[1:]
		case len(before) > 0 && before[0].own():
			add('-', before[0])
			before = before[1:]
		case len(after) > 0:
			add('+', after[0])
			after = after[1:]
		default:
			add('-', before[0])
			before = before[1:]
		}
	}
	return all
}
