package signals

import (
	"os"
	"runtime"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func started(t *testing.T, in chan os.Signal) *Owner {
	t.Helper()
	o := New(in)
	go o.Run()
	t.Cleanup(o.Close)
	return o
}

func TestWhatSignalsAskFor(t *testing.T) {
	for sig, want := range map[syscall.Signal]Action{
		syscall.SIGINT: Begin, syscall.SIGTERM: Begin, syscall.SIGHUP: Hangup, syscall.SIGQUIT: PassOn,
		syscall.SIGUSR1: PassOn, syscall.SIGUSR2: PassOn, syscall.SIGABRT: PassOn, syscall.SIGALRM: PassOn,
		syscall.SIGWINCH: Resize, syscall.SIGTSTP: Suspend, syscall.SIGTTIN: Suspend, syscall.SIGTTOU: Suspend, syscall.SIGCONT: Continue,
		syscall.SIGPIPE: None, syscall.SIGCHLD: None, syscall.SIGXCPU: None,
	} {
		t.Run(sig.String(), func(t *testing.T) {
			in := make(chan os.Signal, 1)
			o := started(t, in)
			in <- sig
			e, ok := o.Poll()
			if ok != (want != None) || e.Action != want || ok && e.Signal != sig {
				t.Errorf("event %+v, %v", e, ok)
			}
			if stop := o.Requested(); (stop == sig) != (want == Begin) {
				t.Errorf("a stop was requested by %v", stop)
			}
		})
	}
	for _, sig := range taken {
		if _, known := actions[sig]; !known {
			t.Errorf("it is not known what %v asks for", sig)
		}
	}
	if len(taken) != len(actions) {
		t.Errorf("%d signals are taken, %d are known", len(taken), len(actions))
	}
}

// While events are not acted on, a flood of signals drops no stop request.
func TestStopRequestsAreNotLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan os.Signal)
		o := New(in)
		go o.Run()
		defer o.Close()
		for range 10 * maxPending {
			in <- syscall.SIGUSR1
		}
		for range 4 {
			in <- syscall.SIGTERM
			<-time.After(2 * repeatInterval)
		}
		var stops []Action
		passed := 0
		for {
			e, ok := o.Poll()
			if !ok {
				break
			}
			if e.Action == PassOn {
				passed++
			} else {
				stops = append(stops, e.Action)
			}
		}
		if passed != maxPending || len(stops) != 4 || stops[0] != Begin || stops[3] != Abandon {
			t.Errorf("%d passed on, stops %v", passed, stops)
		}
	})
}

func TestEventsComeInOrder(t *testing.T) {
	in := make(chan os.Signal, 3)
	o := started(t, in)
	in <- syscall.SIGUSR1
	in <- syscall.SIGQUIT
	in <- syscall.SIGINT
	for _, want := range []Event{{PassOn, syscall.SIGUSR1}, {PassOn, syscall.SIGQUIT}, {Begin, syscall.SIGINT}} {
		if got := <-o.Events(); got != want {
			t.Errorf("event %+v, want %+v", got, want)
		}
	}
}

// After the job's end one request ends the waits, and the end of one attempt is not the end
// of the next.
func TestGiveUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := make(chan os.Signal)
		o := New(in)
		go o.Run()
		defer o.Close()
		o.JobEnded(true)
		o.JobEnded(false)
		in <- syscall.SIGTERM
		if e := <-o.Events(); e.Action != Begin {
			t.Errorf("event %+v", e)
		}
		o.JobEnded(true)
		in <- syscall.SIGTERM // the same request again
		synctest.Wait()
		select {
		case <-o.GiveUp():
			t.Error("a repeated request gave up the waits")
		default:
		}
		<-time.After(repeatInterval)
		in <- syscall.SIGINT
		<-o.GiveUp()
		in <- syscall.SIGINT
		if e, ok := o.Poll(); ok || o.Requested() != syscall.SIGTERM {
			t.Errorf("event %+v, first %v", e, o.Requested())
		}
	})
}

// A stop request that came as the job ended, and that was not taken, ends the waits; other
// events stay.
func TestRequestThatNobodyTook(t *testing.T) {
	in := make(chan os.Signal, 2)
	o := started(t, in)
	in <- syscall.SIGTSTP
	in <- syscall.SIGTERM
	for o.Requested() == 0 {
		runtime.Gosched()
	}
	o.JobEnded(true)
	<-o.GiveUp()
	if e, ok := o.Poll(); !ok || e.Action != Suspend {
		t.Errorf("event %+v, %v", e, ok)
	}
	if e, ok := o.Poll(); ok {
		t.Errorf("event %+v is left", e)
	}
}

func TestPollAfterClose(t *testing.T) {
	o := New(nil)
	go o.Run()
	o.Close()
	if e, ok := o.Poll(); ok {
		t.Errorf("event %+v", e)
	}
}
