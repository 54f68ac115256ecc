// Package systemlog writes messages to the log of the system, without making the sender wait.
package systemlog

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

// Log is a log of the system. Start is called once before Add, and End once after it.
type Log struct {
	lines      chan string
	last, done chan struct{} // closed by End; and when the lines before it are written
}

// Start starts the goroutine that writes; it ends with End, unless the log never takes what is written.
func (l *Log) Start() {
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
func (l *Log) next() (line string, ok bool) {
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

// Add adds a message.
func (l *Log) Add(text string) {
	select {
	case l.lines <- strings.TrimSpace(text):
	default:
	}
}

// End waits until the messages are written, but not long. It may be called once.
func (l *Log) End() {
	close(l.last)
	select {
	case <-l.done:
	case <-time.After(logLimit):
	}
}
