// Printer is the job of the benchmark of capture: it prints BYTES in writes of SIZE, and
// notes in a file how many seconds that took it, and how much CPU.
//
//	printer BYTES SIZE FILE
package main

import (
	"bytes"
	"fmt"
	"os"
	"strconv"
	"syscall"
	"time"
)

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "printer:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	total, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	// Lines of 100 bytes, so that what finds lines has work to do.
	text := bytes.Repeat([]byte("0123456789 line of output"), size/25+1)[:size]
	for i := 99; i < size; i += 100 {
		text[i] = '\n'
	}
	begun := time.Now()
	for left := total; left > 0; left -= size {
		if _, err := os.Stdout.Write(text[:min(size, left)]); err != nil {
			return err
		}
	}
	felt := time.Since(begun).Seconds()
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		return err
	}
	cpu := time.Duration(used.Utime.Nano() + used.Stime.Nano()).Seconds()
	return os.WriteFile(args[2], []byte(fmt.Sprint(felt, cpu)), 0o600)
}
