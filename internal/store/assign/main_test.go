package assign

import (
	"os"
	"testing"

	"stint.dev/stint/internal/store/postgrestest"
)

func TestMain(m *testing.M) { os.Exit(postgrestest.Main(m)) }
