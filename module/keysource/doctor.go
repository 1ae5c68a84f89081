package keysource

import "context"

// Status is the severity of a Finding.
type Status string

// The statuses.
const (
	OK      Status = "ok"      // it is as it should be
	Warning Status = "warning" // payments work, and something should be changed all the same
	Failure Status = "failure" // the first payment would fail, or something is open that must not be
)

// Finding is the result of one check of `caddy countersign doctor`. It never holds a
// key, a token or a value of a body.
type Finding struct {
	Check   string `json:"check"`            // what was looked for, such as "file permissions"
	Subject string `json:"subject"`          // at what: a file, a reference, an address
	Status  Status `json:"status"`           // how bad it is
	Reason  string `json:"reason"`           // what was seen
	Advice  string `json:"advice,omitempty"` // what to do; "" where nothing is to be done
}

// Remote is a source that may be on another machine.
type Remote interface {
	// Beyond reports whether the source is on another machine.
	Beyond() bool
}

// Doctor is a source with further checks, such as the modes of files or what a policy
// allows.
type Doctor interface {
	Source

	// Diagnose checks the source and the references that the configuration names,
	// without those with {body.x}. It may use the network, within ctx, and changes
	// nothing.
	Diagnose(ctx context.Context, references []string) []Finding
}

// Lister is a source that can list its references.
type Lister interface {
	Source

	// References are the references of the source, sorted, at most limit of
	// them.
	References(ctx context.Context, limit int) ([]string, error)
}
