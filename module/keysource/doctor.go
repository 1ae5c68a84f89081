package keysource

import "context"

// Status is how bad a Finding is.
type Status string

// The statuses.
const (
	OK      Status = "ok"      // it is as it should be
	Warning Status = "warning" // payments work, and something should be changed all the same
	Failure Status = "failure" // the first payment would fail, or something is open that must not be
)

// Finding is one thing that `caddy countersign doctor` has looked at. It never
// holds a key, a token or a value of a body.
type Finding struct {
	Check   string `json:"check"`            // what was looked for, such as "file permissions"
	Subject string `json:"subject"`          // at what: a file, a reference, an address
	Status  Status `json:"status"`           // how bad it is
	Reason  string `json:"reason"`           // what was seen
	Advice  string `json:"advice,omitempty"` // what to do; "" where nothing is to be done
}

// Remote is a source that may lie beyond this machine.
type Remote interface {
	// Beyond reports whether asking the source leaves this machine.
	Beyond() bool
}

// Doctor is a source that can look at more than whether a set loads: the modes
// of files, what a policy allows.
type Doctor interface {
	Source

	// Diagnose looks at the source and at the references that the configuration
	// names, those with {body.x} left out. It may ask the network, within ctx,
	// and changes nothing.
	Diagnose(ctx context.Context, references []string) []Finding
}

// Lister is a source that can tell which references it holds.
type Lister interface {
	Source

	// References are the references of the source, sorted, at most limit of
	// them.
	References(ctx context.Context, limit int) ([]string, error)
}
