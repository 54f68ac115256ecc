// Package overlap keeps two starts of one job from being at work on a host at the same time.
//
// Each start that minds the others takes a ticket: a file in the directory "overlap" of the agent's
// state directory, whose name has the job and a number, and whose lock (flock) the process holds until
// the processes of its job are gone. The living ticket with the lowest number has the lock of the job; the
// others wait in the order of their numbers. Whether a ticket lives is asked of the kernel, so that
// neither a killed agent nor a reboot nor a full disk leaves a lock behind. Descriptors are closed on
// exec: no process of the job holds it.
//
//	lock                tickets are made, counted and removed under this lock, which is held for moments only
//	nightly-KEY.7       the ticket with number 7 of the job nightly; its content is its Holder
//	nightly-KEY.skips   the starts that were skipped, until the run that has the lock has noted them
//
// KEY is made of the name of the job and of the host, because hosts may share a state directory. The
// directory belongs to one user.
package overlap

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	"stint.dev/stint/internal/agent/spool/owner"
)

// Mode is what a start does while another one of the job is at work. The words are those of
// definitions and submissions, where they are about the job's work on all hosts.
type Mode string

// The modes.
const (
	Allow Mode = "allow" // it starts, and takes no ticket
	Skip  Mode = "skip"  // it does not start
	Queue Mode = "queue" // it waits
)

// ParseMode returns the mode that a text names.
func ParseMode(text string) (Mode, error) {
	switch m := Mode(text); m {
	case Allow, Skip, Queue:
		return m, nil
	}
	return "", fmt.Errorf("%q is none of allow, skip and queue", text)
}

// shownInKey is how much of a job's name is in the names of its files.
const shownInKey = 40

// keyOf returns how the names of a job's files begin on a host. Only its end, a digest, distinguishes
// jobs; what comes before is for people.
func keyOf(job string, host owner.Host) string {
	shown := strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-', r == '_':
			return r
		}
		return '_'
	}, job)
	sum := sha256.Sum256([]byte(job + "\x00" + cmp.Or(host.BootID, strings.ToLower(host.Name))))
	return shown[:min(len(shown), shownInKey)] + "-" + hex.EncodeToString(sum[:8])
}

// ticketName returns the name of the file of a ticket.
func ticketName(key string, number int64) string { return key + "." + strconv.FormatInt(number, 10) }

// skipsName returns the name of the file with the skipped starts of a job.
func skipsName(key string) string { return key + "." + skipsEnd }

// skipsEnd ends the name of a file with skipped starts.
const skipsEnd = "skips"

// parseTicketName takes the name of a ticket apart; ok is false for that of another file.
func parseTicketName(name string) (key string, number int64, ok bool) {
	key, digits, _ := strings.Cut(name, ".")
	number, err := strconv.ParseInt(digits, 10, 64)
	if err != nil || number <= 0 || name != ticketName(key, number) {
		return "", 0, false
	}
	return key, number, true
}
