package command

import (
	"fmt"
	"net"
	"strconv"
	"time"

	"stint.dev/stint/internal/cli/option"
)

// notifyLimit bounds the wait for a service manager that does not read.
const notifyLimit = time.Second

// NotifyManager sends a state, such as READY=1, to the service manager that the program was
// started by (sd_notify(3), Type=notify). Without an address in NOTIFY_SOCKET there is none.
func (p *Program) NotifyManager(state string) error {
	address := p.Getenv("NOTIFY_SOCKET")
	if address == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: address, Net: "unixgram"})
	if err != nil {
		return fmt.Errorf("reach the service manager at NOTIFY_SOCKET: %w", err)
	}
	defer func() { _ = conn.Close() }() // the write reports whether it worked
	if err := conn.SetWriteDeadline(time.Now().Add(notifyLimit)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(state)); err != nil {
		return fmt.Errorf("send %s to the service manager: %w", state, err)
	}
	return nil
}

// WatchdogTime returns how long the service manager waits for the next WATCHDOG=1 before it
// ends the server (sd_watchdog_enabled(3)); 0 if it waits for none from process pid.
func WatchdogTime(getenv func(string) string, pid int) (time.Duration, error) {
	text, of := getenv("WATCHDOG_USEC"), getenv("WATCHDOG_PID")
	if text == "" || of != "" && of != strconv.Itoa(pid) {
		return 0, nil
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	if err != nil || micros < 4 || micros > time.Duration(1<<63-1).Microseconds() {
		return 0, option.Usagef("WATCHDOG_USEC: %q is not a number of microseconds", text)
	}
	return time.Duration(micros) * time.Microsecond, nil
}
