package faulttest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
)

// growth compares the last third of a series with its first: it returns an error when the
// middle of the last third is higher by more than a share of the first and a constant.
// Medians, because single peaks say nothing; thirds, because a fitted line would find a
// slope in any garbage collector's saw.
func growth(what string, series []float64, share, constant float64) error {
	third := len(series) / 3
	if third < 3 {
		return fmt.Errorf("%s: %d readings are too few to judge growth", what, len(series))
	}
	first, last := middle(series[:third]), middle(series[len(series)-third:])
	if last > first*(1+share)+constant {
		return fmt.Errorf("%s grew from %.6g to %.6g (middle of the first and of the last third of %d readings)", what, first, last, len(series))
	}
	return nil
}

func middle(s []float64) float64 { return slices.Sorted(slices.Values(s))[len(s)/2] }

func TestGrowth(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	make := func(n int, f func(i int) float64) []float64 {
		var out []float64
		for i := range n {
			out = append(out, f(i))
		}
		return out
	}
	for name, c := range map[string]struct {
		series []float64
		grows  bool
	}{
		"flat":             {make(300, func(int) float64 { return 50 }), false},
		"noise":            {make(300, func(int) float64 { return 50 + 10*r.Float64() }), false},
		"saw":              {make(300, func(i int) float64 { return 40 + float64(i%20) }), false},
		"peaks":            {make(300, func(i int) float64 { return 50 + 1000*float64(i%50/49) }), false},
		"warms up, stays":  {make(300, func(i int) float64 { return min(50, 40+float64(i)) }), false},
		"leaks":            {make(300, func(i int) float64 { return 50 + float64(i)/10 }), true},
		"leaks in a saw":   {make(300, func(i int) float64 { return 50 + float64(i)/5 + float64(i%20) }), true},
		"too few readings": {make(5, func(int) float64 { return 50 }), true},
	} {
		if err := growth(name, c.series, 0.1, 5); (err != nil) != c.grows {
			t.Errorf("%s: %v", name, err)
		}
	}
}
