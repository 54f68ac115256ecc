package delivery

import (
	"errors"
	"fmt"

	"stint.dev/stint/internal/agent/spool"
)

// EndedJournal is a journal whose attempt has ended, and whose delivery too.
type EndedJournal struct {
	Run     string
	Journal *spool.Journal
	Link    *Link
	// NoServer says that nothing was to be delivered. Discard then removes the journal, which
	// nothing will ever deliver.
	NoServer, Discard bool
	// Print prints one line for people.
	Print func(line string)
}

// Conclude removes a journal that was delivered, and has any other one wait in the spool. err
// says how its delivery ended: nil when the server has all of it. complete is true when no
// output was dropped either; waitsAt is where the journal waits, empty for nowhere.
func (e EndedJournal) Conclude(err error) (complete bool, waitsAt string) {
	j := e.Journal
	var deleted *DeletedError
	delivered := !e.NoServer && err == nil && j.Waiting() == 0
	if delivered || errors.As(err, &deleted) || e.NoServer && e.Discard {
		complete = delivered && !j.Dropped()
		if err := j.Remove(); err != nil {
			e.Print(err.Error())
		}
		return complete, ""
	}
	lost := j.Persist()
	var final *RefusedError
	refused := errors.As(err, &final)
	if refused && !IsIDTaken(j, err) {
		j.Refuse(err.Error())
	}
	if err := j.Close(); err != nil {
		e.Print("closing the journal: " + err.Error())
	}
	if lost != nil {
		if !e.NoServer {
			e.Print(e.lostText(err))
		}
		return false, ""
	}
	if !e.NoServer && !refused { // a refusal was reported when it came
		e.Print(e.waitsText(err))
	}
	return false, j.Path()
}

// lostText says what is lost of a journal that is neither on the server nor on the disk, and why.
func (e EndedJournal) lostText(why error) string {
	text := "the journal of run %s is incomplete on the server, and the part that is missing was in memory only"
	switch {
	case e.Journal.Path() == "" && e.Journal.Acknowledged() == 0:
		text = "the record of run %s is lost: it was in memory, because the state directory could not be used, and the server did not accept it"
	case !e.Link.Reached():
		text = "the journal of run %s was not delivered, and what could not be written to the disk is lost"
	}
	return e.because(fmt.Sprintf(text, e.Run), why)
}

// waitsText says where the journal waits, and why unless that was printed before.
func (e EndedJournal) waitsText(why error) string {
	text := fmt.Sprintf("the journal of this run waits at %s until the next stint run, or stint flush, delivers it", e.Journal.Path())
	return e.because(text, why)
}

// because adds to a text why the journal was not delivered, unless that was printed before.
func (e EndedJournal) because(text string, why error) string {
	if e.Link.Printed(NoServer) || e.Link.Printed(BadToken) {
		return text
	}
	if !e.Link.Reached() {
		e.Link.SetPrinted(NoServer) // a further attempt need not print it again
	}
	return fmt.Sprintf("%s: %v", text, why)
}
