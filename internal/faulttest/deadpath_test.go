package faulttest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stint.dev/stint/client"
)

// uploadEnv makes this program a client that appends to a server at an address.
const uploadEnv = "STINT_FAULTS_UPLOAD"

// uploadSize is more than what the buffers on the way take.
const uploadSize = 64 << 20

func runUpload(address string) int {
	c, err := client.New(client.Options{URL: "http://" + address})
	if err != nil {
		fmt.Println(err)
		return 1
	}
	begun := time.Now()
	_, err = c.Append(context.Background(), "01890a5d-ac96-774b-bcce-b302099a8057", 1, 0, make([]byte, uploadSize))
	fmt.Printf("%s: %v\n", time.Since(begun).Round(100*ms), err)
	return 0
}

// An upload whose path is cut fails after a quarter of a minute without any acknowledgement,
// and not with its time limit of two minutes.
func TestAnUploadOnADeadPathFails(t *testing.T) {
	can, why := able()
	if !can.links {
		needed(t, "network namespaces: "+strings.Join(why, "; "))
	}
	host, err := makeLink(9100)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := host.close(); err != nil {
			t.Error(err)
		}
	}()
	l, err := net.Listen("tcp", net.JoinHostPort(host.here, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = append(os.Environ(), uploadEnv+"="+l.Addr().String())
	var printed strings.Builder
	cmd.Stdout, cmd.Stderr = &printed, os.Stderr
	if err := host.within(cmd.Start); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil { // it is under way
		t.Fatal(err)
	}
	cut := time.Now()
	if err := host.set("down"); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	took := time.Since(cut)
	t.Logf("the upload failed %s after the cut, %s", took.Round(ms), printed.String())
	if took < 10*time.Second || took > time.Minute || !strings.Contains(printed.String(), "acknowledged nothing for 15s") {
		t.Errorf("%s after the cut: %s", took, printed.String())
	}
}
