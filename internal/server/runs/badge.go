package runs

import (
	"fmt"
	"html"
	"net/http"
	"strings"
	"unicode/utf8"

	"stint.dev/stint/internal/server/httpio"
	"stint.dev/stint/internal/server/route"
	"stint.dev/stint/job"
)

// badgeColours are the colours of badges by state. White text on each has a contrast of at least 4.5.
var badgeColours = map[job.State]string{
	job.Succeeded: "#1a7f37", job.Failed: "#c2352b", job.TimedOut: "#c2352b", job.Lost: "#a04a00", job.Canceled: "#6e7781",
}

// activeColour is the colour of the badge of an active run.
const activeColour = "#0a5cc2"

// GetBadge responds with an image of the state of a job's last run, for a README.
func (s *Runs) GetBadge(w http.ResponseWriter, r *http.Request) {
	if err := httpio.NewParams(r).Err; err != nil {
		s.Fail(w, r, err)
		return
	}
	name := r.PathValue("job")
	if err := job.CheckName(name); err != nil {
		s.Fail(w, r, err)
		return
	}
	sum, err := s.Store.Job(r.Context(), name)
	if err != nil {
		s.Fail(w, r, err)
		return
	}
	state, colour := "no run", badgeColours[job.Canceled]
	if sum.LastRun != nil {
		state = strings.ReplaceAll(string(sum.LastRun.State), "_", " ")
		if colour = badgeColours[sum.LastRun.State]; colour == "" {
			colour = activeColour
		}
	}
	for _, f := range sum.Findings { // the last run says nothing of runs that should have followed it
		if state, colour = f.Rule, badgeColours[job.Lost]; f.Health == job.Critical {
			colour = badgeColours[job.Failed]
			break
		}
	}
	body := badge(name, state, colour)
	h := w.Header()
	h.Set("Content-Type", "image/svg+xml")
	h.Set("Cache-Control", "no-cache, no-store") // image proxies only support the first
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'")
	tag := fmt.Sprintf("%q", "b"+state+colour)
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	_, _ = w.Write([]byte(body))
}

// badge returns an SVG image of two boxes with text. The text is stretched to the width of its box, so that
// it fits with any font.
func badge(left, right, colour string) string {
	const maxRunes = 60
	if utf8.RuneCountInString(left) > maxRunes {
		left = string([]rune(left)[:maxRunes-1]) + "…"
	}
	lw, rw := badgeWidth(left), badgeWidth(right)
	label := html.EscapeString(left + ": " + right)
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="20" role="img" aria-label="%s"><title>%s</title>`+
		`<clipPath id="r"><rect width="%d" height="20" rx="3"/></clipPath>`+
		`<g clip-path="url(#r)"><rect width="%d" height="20" fill="#444c56"/><rect x="%d" width="%d" height="20" fill="%s"/></g>`+
		`<g fill="#fff" text-anchor="middle" font-family="Verdana,DejaVu Sans,sans-serif" font-size="11">`+
		`<text x="%d" y="14" textLength="%d">%s</text><text x="%d" y="14" textLength="%d">%s</text></g></svg>`+"\n",
		lw+rw, label, label, lw+rw, lw, lw, rw, colour,
		lw/2, lw-12, html.EscapeString(left), lw+rw/2, rw-12, html.EscapeString(right))
}

// badgeWidth returns about the width of a text with its margins, in pixels.
func badgeWidth(text string) int { return 7*utf8.RuneCountInString(text) + 12 }

// DocBadge describes GetBadge.
var DocBadge = route.Doc{
	Text: "Returns an SVG image of the state of the job's last run, or missed or skipped while the job has that finding, for a README. It needs no token if the server was started with " +
		"--public-badges.",
	Answers: []route.Content{route.Media("image/svg+xml", nil)},
	Errors:  []int{400, 404},
}
