package option

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// longest is the longest duration an option takes: ten years, far from any overflow.
const longest = 10 * 365 * 24 * time.Hour

// ParseDuration reads "90s", "1h30m" or "2d". It refuses what is negative, has no unit or
// is longer than ten years; "0" is zero.
func ParseDuration(s string) (time.Duration, error) {
	if s == "0" {
		return 0, nil
	}
	d, err := time.ParseDuration(s)
	if days, found := strings.CutSuffix(s, "d"); found {
		n, derr := strconv.ParseFloat(days, 64)
		switch {
		case derr != nil || math.IsNaN(n) || math.IsInf(n, 0):
		case math.Abs(n) > 3650:
			d, err = longest+1, nil
		default:
			d, err = time.Duration(n*float64(24*time.Hour)), nil
		}
	}
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration: write it like 90s, 5m, 2h or 1d", s)
	case d < 0:
		return 0, fmt.Errorf("%q is negative", s)
	case d > longest:
		return 0, fmt.Errorf("%q is more than ten years", s)
	}
	return d, nil
}

var units = []struct {
	suffix string
	factor float64
}{
	{"KiB", 1 << 10},
	{"MiB", 1 << 20},
	{"GiB", 1 << 30},
	{"TiB", 1 << 40},
	{"KB", 1e3},
	{"MB", 1e6},
	{"GB", 1e9},
	{"TB", 1e12},
	{"K", 1 << 10},
	{"M", 1 << 20},
	{"G", 1 << 30},
	{"T", 1 << 40},
	{"B", 1},
	{"", 1},
}

// ParseSize reads a size in bytes: "1048576", "512M" and "512MiB" (powers of two), "512MB"
// (powers of ten). It refuses what is negative, not finite, or over 8 EiB.
func ParseSize(s string) (int64, error) {
	for _, u := range units {
		digits, found := strings.CutSuffix(strings.ToLower(s), strings.ToLower(u.suffix))
		if !found {
			continue
		}
		n, err := strconv.ParseFloat(strings.TrimSpace(digits), 64)
		if err != nil || math.IsNaN(n) || strings.ContainsAny(digits, "xXpPeE_") {
			break
		}
		bytes := n * u.factor
		switch {
		case n < 0:
			return 0, fmt.Errorf("%q is negative", s)
		case bytes >= math.MaxInt64:
			return 0, fmt.Errorf("%q is too large", s)
		}
		return int64(bytes), nil
	}
	return 0, fmt.Errorf("%q is not a size: write it like 512M, 2G or 1048576", s)
}

// ParseNumber reads a number that is not negative.
func ParseNumber(s string) (float64, error) {
	n, err := strconv.ParseFloat(s, 64)
	if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
		return 0, fmt.Errorf("%q is not a number", s)
	}
	if n < 0 {
		return 0, fmt.Errorf("%q is negative", s)
	}
	return n, nil
}

// parseSwitch reads whether something is on.
func parseSwitch(s string) (bool, error) {
	switch strings.ToLower(s) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither 1 nor 0", s)
}

// Whole returns the rule of a number that is a whole one in a range.
func Whole(least, most int64) func(text string) error {
	return func(text string) error {
		if n, err := ParseNumber(text); err != nil || n != math.Trunc(n) || n < float64(least) || n > float64(most) {
			return fmt.Errorf("%s is not a whole number from %d to %d", text, least, most)
		}
		return nil
	}
}
