package agentcmd

import (
	"log/syslog"
	"strings"
	"time"

	"stint.dev/stint/internal/crontab"
)

const (
	// mostLines bounds what waits for the log of the system. What finds no room is dropped.
	mostLines = 64
	// logLimit bounds how long the end waits for the log of the system.
	logLimit = time.Second
)

// systemLog writes messages to the log of the system, without making the sender wait.
type systemLog struct {
	lines      chan string
	last, done chan struct{} // closed by end; and when the lines before it are written
}

// start starts the goroutine that writes; it ends with end, unless the log never takes what is written.
func (l *systemLog) start() {
	l.lines, l.last, l.done = make(chan string, mostLines), make(chan struct{}), make(chan struct{})
	go func() {
		defer close(l.done)
		var w *syslog.Writer
		for {
			line, ok := l.next()
			if !ok {
				return
			}
			if w == nil {
				var err error
				if w, err = syslog.New(syslog.LOG_WARNING|syslog.LOG_CRON, crontab.ShellName); err != nil {
					continue // there is no log on this host
				}
			}
			_ = w.Warning(line) // there is nowhere to report it
		}
	}()
}

// next returns the next line; ok is false behind the last one.
func (l *systemLog) next() (line string, ok bool) {
	select {
	case line = <-l.lines:
		return line, true
	case <-l.last:
	}
	select {
	case line = <-l.lines:
		return line, true
	default:
		return "", false
	}
}

// add adds a message.
func (l *systemLog) add(text string) {
	select {
	case l.lines <- strings.TrimSpace(text):
	default:
	}
}

// end waits until the messages are written, but not long. It may be called once.
func (l *systemLog) end() {
	close(l.last)
	select {
	case <-l.done:
	case <-time.After(logLimit):
	}
}
