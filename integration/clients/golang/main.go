// Command golang posts an order to the sidecar.
// Exit status: 0 verified, 10 not sent, 11 unknown, 12 unverified.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// The timeout is longer than the sidecar's, which is 30 s. A POST with a body of
// known bytes is not sent again by net/http once bytes were written.
var client = &http.Client{
	Timeout:       40 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

func pay(url string, order []byte) (outcome, text string) {
	res, err := client.Post(url, "application/json", bytes.NewReader(order)) //nolint:gosec // the address is the operator's
	if err != nil {
		var op *net.OpError
		if errors.As(err, &op) && op.Op == "dial" {
			return "not_sent", "sidecar_unreachable"
		}
		return "unknown", "sidecar_unreachable"
	}
	defer res.Body.Close() //nolint:errcheck // it was read
	body, err := io.ReadAll(res.Body)
	if err != nil {
		return "unknown", "sidecar_unreachable"
	}
	if outcome := res.Header.Get("Countersign-Outcome"); outcome != "" {
		var problem struct {
			Reason string `json:"reason"`
		}
		_ = json.Unmarshal(body, &problem) // the header says what matters
		return outcome, problem.Reason
	}
	if res.Header.Get("Countersign-Verified") != "true" {
		return "unverified", "not_verified"
	}
	return "verified", string(body)
}

func main() {
	order, err := os.ReadFile(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	outcome, text := pay(os.Args[1], order)
	fmt.Println(outcome, text)
	os.Exit(map[string]int{"verified": 0, "not_sent": 10, "unknown": 11, "unverified": 12}[outcome])
}
