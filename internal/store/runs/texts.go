package runs

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	"stint.dev/stint/internal/query"
	"stint.dev/stint/internal/store/db"
	"stint.dev/stint/internal/store/tables"
	"stint.dev/stint/job"
)

const (
	// TextSpan is the number of text ids in a microsecond, for runs that started in the same one. If
	// all are used, a run gets an id of the next microsecond.
	TextSpan = 1024
	// maxTextBytes is the maximum length of a text that is searched for.
	maxTextBytes = 24_000
	// maxTerms limits the terms of a text that are looked up; the rest of the text is only compared.
	maxTerms = 30
	// textScanLimit is the number of runs with a text from which the index of texts is not used.
	textScanLimit = 2000
)

// textID returns the name of the id in run_texts.
func textID(d db.Dialect) string {
	if d.Postgres {
		return "text_id"
	}
	return "rowid"
}

// textMatch returns the condition on run_texts that every run with a text meets, and its argument; false for
// a text that is too short for the index.
func textMatch(d db.Dialect, text string, param int) (condition, arg string, ok bool) {
	letters := []rune(tables.SearchForm(text))
	if len(letters) < 3 {
		return "", "", false
	}
	if d.Postgres {
		return "run_texts.words LIKE $" + strconv.Itoa(param) + ` ESCAPE '\'`, likeText(text), true
	}
	seen, terms := map[string]bool{}, []string{}
	for i := 0; i+3 <= len(letters) && len(terms) < maxTerms; i++ {
		term := string(letters[i : i+3])
		if !seen[term] {
			seen[term] = true
			terms = append(terms, `"`+strings.ReplaceAll(term, `"`, `""`)+`"`)
		}
	}
	return "run_texts MATCH $" + strconv.Itoa(param), strings.Join(terms, " "), true
}

// likeText returns the LIKE pattern for a text. SQLite allows none of more than 50,000 bytes.
// A text for which that is not enough, more than 20 times the longest that the API takes, is in no run.
func likeText(text string) string {
	if len(text) > maxTextBytes {
		return "\n" // which is in no result of SearchForm
	}
	return "%" + strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(tables.SearchForm(text)) + "%"
}

// onlyText reports whether a query has no filters with an index but those on text and time.
func onlyText(q query.Runs) bool {
	return q.Job == "" && q.Host == "" && len(q.States)+len(q.Health)+len(q.Labels) == 0
}

// prefersTextIndex reports whether a page is best read off the index of texts: if few runs have the text, or
// there is no other filter.
func (s *Queries) prefersTextIndex(ctx context.Context, q query.Runs) (bool, error) {
	match, arg, ok := textMatch(s.Dialect, q.Text, 1)
	if !ok || onlyText(q) {
		return ok, nil
	}
	var n int
	err := s.Reader.QueryRowContext(ctx, `SELECT COUNT(*) FROM (SELECT 1 FROM run_texts WHERE `+match+` LIMIT $2) AS few`, arg, textScanLimit).Scan(&n)
	if err != nil {
		return false, fmt.Errorf("count the runs with %s: %w", job.Quote(q.Text), err)
	}
	return n < textScanLimit, nil
}

// textQuery returns the query for a page that is read off the index of texts, the newest first, together with
// the runs that are not in the index yet.
func textQuery(d db.Dialect, q query.Runs, limit int) (string, []any, error) {
	conditions, args, err := runConditions(q)
	if err != nil {
		return "", nil, err
	}
	if len(q.States) > 0 {
		marks := make([]string, len(q.States))
		for i, state := range q.States {
			args = append(args, string(state))
			marks[i] = "$" + strconv.Itoa(len(args))
		}
		conditions = append(conditions, "state IN ("+strings.Join(marks, ", ")+")")
	}
	match, arg, _ := textMatch(d, q.Text, len(args)+1)
	args = append(args, arg)
	indexed := append([]string{match, "runs.text_id = run_texts." + textID(d)}, conditions...)
	end, err := upperBound(q)
	if err != nil {
		return "", nil, err
	}
	if end > 0 { // limits the range of the index
		args = append(args, end)
		indexed = append(indexed, textBefore(d, "$"+strconv.Itoa(len(args))))
	}
	newest := fmt.Sprintf(" ORDER BY start_at DESC, id DESC LIMIT %d", limit)
	return "SELECT * FROM (SELECT * FROM (" + textPage(d, indexed, limit) + ") AS old UNION ALL SELECT * FROM (SELECT " + tables.RunColumns + " FROM " +
		d.RunsIndexedBy("runs_no_text") + where(append(conditions, "text_id IS NULL")) + newest + ") AS fresh) AS merged" + newest, args, nil
}

// upperBound returns a time in microseconds that is after the start of every run of a query; 0 for none.
func upperBound(q query.Runs) (int64, error) {
	if q.Cursor != "" {
		at, _, err := ReadCursor(q.Cursor)
		return at + 1, err
	}
	if !q.Until.IsZero() {
		return db.Micros(q.Until), nil
	}
	return 0, nil
}

// textBefore returns the condition that a text is older than a parameter.
func textBefore(d db.Dialect, param string) string {
	if d.Postgres {
		return "run_texts.started < CAST(" + param + " AS BIGINT)"
	}
	return fmt.Sprintf("run_texts.rowid < %s * %d", param, TextSpan)
}

// textPage returns the query for a page of runs off the index of texts. The ids of SQLite are in the order of
// time, but in any order within a microsecond: so all runs of the page's last microsecond are read.
func textPage(d db.Dialect, conditions []string, limit int) string {
	from := " FROM run_texts CROSS JOIN runs" + where(conditions)
	if d.Postgres {
		return "SELECT " + tables.RunColumns + from + textOrder(d) + fmt.Sprintf(" LIMIT %d", limit)
	}
	last := fmt.Sprintf("(SELECT MIN(hit) / %d * %d FROM (SELECT run_texts.rowid AS hit%s%s LIMIT %d))", TextSpan, TextSpan, from, textOrder(d), limit)
	return "SELECT " + tables.RunColumns + from + " AND run_texts.rowid >= " + last + fmt.Sprintf(" ORDER BY start_at DESC, id DESC LIMIT %d", limit)
}

// textOrder returns the ORDER BY of run_texts by time, the newest first.
func textOrder(d db.Dialect) string {
	if d.Postgres {
		return " ORDER BY run_texts.started DESC, run_texts.run DESC"
	}
	return " ORDER BY run_texts.rowid DESC"
}

// countTexts counts the runs that are not active by state, among the newest maxTextCount with a text.
func (s *Queries) countTexts(ctx context.Context, q query.Runs, counts *query.RunCounts) error {
	conditions, args, err := runConditions(q)
	if err != nil {
		return err
	}
	id := textID(s.Dialect)
	match, arg, _ := textMatch(s.Dialect, q.Text, len(args)+1)
	args = append(args, arg)
	few := "(SELECT " + id + " AS few_id FROM run_texts WHERE " + match + textOrder(s.Dialect) + " LIMIT " + strconv.Itoa(maxTextCount+1) + ") AS few"
	var n int
	if err := s.Reader.QueryRowContext(ctx, "SELECT COUNT(*) FROM "+strings.Replace(few, "$"+strconv.Itoa(len(args)), "$1", 1), arg).Scan(&n); err != nil {
		return err
	}
	counts.Exact = counts.Exact && n <= maxTextCount
	conditions = append(conditions, "leased = 0")
	return s.addCounts(ctx, q, counts, "SELECT state, COUNT(*) FROM "+few+" CROSS JOIN runs"+
		where(append([]string{"runs.text_id = few.few_id"}, conditions...))+" GROUP BY state UNION ALL SELECT state, COUNT(*) FROM "+s.Dialect.RunsIndexedBy("runs_no_text")+
		where(append([]string{"text_id IS NULL"}, conditions...))+" GROUP BY state", args...)
}
