package groups

import (
	"os"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/internal/store/plantest"
	"stint.dev/stint/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }

// Each second the matcher looks for places that are held no longer, and reads those only, off an index.
func TestHeldPlacesAreReadOffAnIndex(t *testing.T) {
	for _, engine := range plantest.Engines {
		t.Run(engine, func(t *testing.T) {
			d := plantest.Open(t, engine)
			plantest.Fill(t, d, 4_000, time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
			plantest.Exec(t, d, `INSERT INTO queue_places (group_name, run_id, taken_at, until) SELECT 'db', id, 0, CASE WHEN number % 100 = 0 THEN created_at END FROM runs`)
			plantest.Analyze(t, d)
			plan := plantest.IndexPlan(t, d, heldPlaces, 1, 200)
			for _, bad := range []string{"TEMP B-TREE", "Sort", "Seq Scan", "SCAN"} {
				if strings.Contains(plan, bad) {
					t.Errorf("the plan has %s:\n%s", bad, plan)
				}
			}
			if !strings.Contains(plan, "queue_places_until") {
				t.Errorf("the plan does not use queue_places_until:\n%s", plan)
			}
		})
	}
}
