package policy

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

var errUnit = errors.New("unknown unit")

// ParseSpan reads a duration as Go writes it, with days (1d12h); 0 needs no unit.
func ParseSpan(text string) (Span, error) {
	if text == "0" {
		return 0, nil
	}
	days, rest, found := strings.Cut(text, "d")
	if !found {
		d, err := time.ParseDuration(text)
		return Span(d), err
	}
	n, err := strconv.ParseFloat(days, 64)
	if err != nil || !finite(n) || math.Abs(n) > 100_000 {
		return 0, errUnit
	}
	d := time.Duration(n * float64(24*time.Hour))
	if rest != "" {
		more, err := time.ParseDuration(rest)
		if err != nil {
			return 0, err
		}
		d += more
	}
	return Span(d), nil
}

var units = map[string]float64{
	"": 1, "B": 1,
	"K": 1 << 10, "KIB": 1 << 10, "M": 1 << 20, "MIB": 1 << 20, "G": 1 << 30, "GIB": 1 << 30, "T": 1 << 40, "TIB": 1 << 40,
	"KB": 1e3, "MB": 1e6, "GB": 1e9, "TB": 1e12,
}

// ParseSize reads a size in bytes: 500M and 500MiB are powers of two, 500MB of ten.
func ParseSize(text string) (int64, error) {
	digits := strings.TrimRight(text, "BbIiKkMmGgTt ")
	factor, known := units[strings.ToUpper(strings.TrimSpace(text[len(digits):]))]
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || !known || !finite(n) || n < 0 || n*factor > 1<<60 {
		return 0, errUnit
	}
	return int64(n * factor), nil
}

// appendNumber writes a number as JSON does, without an exponent for common figures.
func appendNumber(b []byte, f float64) []byte { return strconv.AppendFloat(b, f, 'f', -1, 64) }
