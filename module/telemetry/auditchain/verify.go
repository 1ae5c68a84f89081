package auditchain

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// Options say what Verify expects.
type Options struct {
	// From is the number of the first entry that the files must have; entries
	// before it may be missing. Default: 1.
	From uint64
	// Keys are the fingerprints of the keys that may sign checkpoints. With it
	// there must be a checkpoint. Default: any key, and none is needed.
	Keys []string
	// End is the last entry that the files must have, as ReadState returns it: what
	// was cut off or added behind it is a fault. Default: the end is not known.
	End Head
}

// Report is the result of Verify.
type Report struct {
	Entries     int          // that were read
	First, Last uint64       // their numbers
	LastTime    string       // when the last one was made, by the clock of the sidecar
	Files       []FileReport // in the order of their entries
	Checkpoints []Checkpoint // whose signature verifies
	Faults      []Fault      // in the order in which they were found
}

// FileReport says which entries stand in a file.
type FileReport struct {
	Name        string
	First, Last uint64
}

// Checkpoint is a signed checkpoint.
type Checkpoint struct {
	File      string
	Line      int
	Seq       uint64 // the last entry that it signs
	Time      string // when it was signed, by the clock of the sidecar
	Key       string // fingerprint of the key that signed it
	Reference string // of the key set
}

// Fault is a place where the chain is not whole.
type Fault struct {
	File string
	Line int // 0 for the file as a whole
	Text i18n.Text
}

// String returns the fault with its place.
func (f Fault) String() string {
	switch {
	case f.File == "":
		return f.Text.String()
	case f.Line == 0:
		return f.File + ": " + f.Text.String()
	default:
		return fmt.Sprintf("%s:%d: %s", f.File, f.Line, f.Text)
	}
}

// Whole reports whether no fault was found.
func (r *Report) Whole() bool { return len(r.Faults) == 0 }

// Covered returns the number of the last entry that a checkpoint signs, or 0.
func (r *Report) Covered() uint64 {
	var covered uint64
	for _, c := range r.Checkpoints {
		covered = max(covered, c.Seq)
	}
	return covered
}

// Verify reads the entries of files, which may be given in any order and may be
// compressed with gzip, and checks that they are a whole chain. Lines of other
// loggers are passed over. An error says that a file could not be read.
func Verify(files []string, options Options) (*Report, error) {
	ordered, err := inOrder(files)
	if err != nil {
		return nil, err
	}
	v := &verifier{options: options, hashes: make(map[uint64]string)}
	v.options.From = max(1, options.From)
	for _, name := range ordered {
		if err := v.file(name); err != nil {
			return nil, err
		}
	}
	v.name, v.line = "", 0
	v.end()
	if v.Entries == 0 {
		v.fault(i18n.T("there are no chained entries; audit { chain } makes them"))
	}
	if len(options.Keys) > 0 && len(v.Checkpoints) == 0 {
		v.fault(i18n.T("there is no checkpoint by the given key"))
	}
	return &v.Report, nil
}

// end checks what the files end with.
func (v *verifier) end() {
	end := v.options.End
	switch hash, known := v.hashes[end.Seq]; {
	case end.Seq == 0 || v.Entries == 0:
	case v.last.Seq < end.Seq:
		v.missing(v.last.Seq+1, end.Seq)
	case known && hash != end.Hash:
		v.fault(i18n.T("entry %d is not the one that the state file names: entries up to it were replaced", end.Seq))
	case v.last.Seq > end.Seq:
		v.fault(i18n.T("entries from %d on were added: the state file names entry %d as the last, or is an old one", end.Seq+1, end.Seq))
	}
}

// window is the number of hashes that are kept for checkpoints, which sign an
// entry shortly before them.
const window = 1 << 16

type verifier struct {
	Report
	options Options
	name    string
	line    int
	last    Head
	hashes  map[uint64]string // of the last entries
}

func (v *verifier) fault(text i18n.Text) {
	v.Faults = append(v.Faults, Fault{v.name, v.line, text})
}

func (v *verifier) file(name string) error {
	v.name = name
	part := FileReport{Name: name}
	err := eachLine(name, func(number int, line []byte) bool {
		v.line = number
		all, err := members(line)
		if err != nil {
			v.fault(i18n.T("the line is not a whole JSON object"))
			if all, err = members(behindTorn(line)); err != nil {
				return true
			}
		}
		if seq := v.entry(all); seq != 0 {
			if part.First == 0 {
				part.First = seq
			}
			part.Last = seq
		}
		return true
	})
	v.Files = append(v.Files, part)
	return err
}

// behindTorn returns the entry that was written behind one that broke off, in the same
// line: a disk was full, or the power failed, and the process went on or began anew.
// No entry has an object in it.
func behindTorn(line []byte) []byte {
	return line[max(0, bytes.LastIndex(line, []byte(`{"`))):]
}

// entry checks one line, and returns its number or 0.
func (v *verifier) entry(all map[string]jsontext.Value) uint64 {
	seq, chained := number(all)
	if !chained {
		if text(all["logger"]) == logger && v.Entries > 0 {
			v.fault(i18n.T("an audit entry without seq and hash; it was made while the chain was off, or changed"))
		}
		return 0
	}
	hash, prev := text(all["hash"]), text(all["prev"])
	if sum, err := hashOf(all); err != nil || sum != hash {
		v.fault(i18n.T("entry %d was changed: its hash is not that of its content", seq))
	} else if !sameTime(all["ts"], text(all["time"])) {
		v.fault(i18n.T("entry %d was changed: ts is not the time at which it was made", seq))
	}
	v.follow(Head{seq, hash}, prev)
	v.LastTime = text(all["time"])
	v.hashes[seq] = hash
	delete(v.hashes, seq-window)
	if c, ok := checkpointOf(all); ok {
		v.checkpoint(c)
	}
	return seq
}

// follow checks that an entry follows the last one.
func (v *verifier) follow(head Head, prev string) {
	v.Entries++
	first := v.Entries == 1
	want := v.last.Seq + 1
	if first {
		want = v.options.From
		v.First = head.Seq
	}
	switch {
	case head.Seq > want:
		v.missing(want, head.Seq-1)
	case first: // an entry before From is as good
		if head.Seq == 1 && prev != Start.Hash {
			v.fault(i18n.T("entry 1 names an entry before it"))
		}
	case head.Seq == 1:
		v.fault(i18n.T("a new chain begins here and does not continue the one before; its state file was lost, two processes write to one file, or entries were replaced"))
	case head.Seq < want:
		v.fault(i18n.T("entry %d is out of order or repeated: it stands behind entry %d", head.Seq, v.last.Seq))
		return
	case prev != v.last.Hash:
		v.fault(i18n.T("entry %d does not follow entry %d: that one or this one was replaced", head.Seq, v.last.Seq))
	}
	v.last, v.Last = head, head.Seq
}

func (v *verifier) missing(from, to uint64) {
	if from == to {
		v.fault(i18n.T("entry %d is missing", from))
		return
	}
	v.fault(i18n.T("entries %d to %d are missing", from, to))
}

// checkpoint checks the signature of a checkpoint and what it signs.
func (v *verifier) checkpoint(c checkpoint) {
	if err := c.verify(); err != nil {
		v.fault(i18n.T("the checkpoint is not genuine: %v", err))
		return
	}
	hash, known := v.hashes[c.head.Seq]
	if known && hash != c.head.Hash {
		v.fault(i18n.T("entry %d is not the one that this checkpoint signs: entries up to it were replaced", c.head.Seq))
		return
	}
	if len(v.options.Keys) > 0 && !slices.Contains(v.options.Keys, c.key) {
		v.fault(i18n.T("the checkpoint is signed by another key, %s", c.key))
		return
	}
	if !known {
		return // it signs what is not in the files
	}
	v.Checkpoints = append(v.Checkpoints, Checkpoint{v.name, v.line, c.head.Seq, c.at, c.key, c.reference})
}

// logger is the name of the audit logger.
const logger = "http.countersign.audit"

// number returns the number of an entry. It reports false if the object is not a
// chained entry.
func number(all map[string]jsontext.Value) (uint64, bool) {
	if len(all["hash"]) == 0 || len(all["prev"]) == 0 || len(all["seq"]) == 0 {
		return 0, false
	}
	seq, err := strconv.ParseUint(string(all["seq"]), 10, 64)
	return seq, err == nil && seq > 0
}

// sameTime reports whether the log's own time stamp is the time of the entry, to
// its precision. One that is absent or in a form that is not known is accepted.
func sameTime(ts jsontext.Value, at string) bool {
	made, err := time.Parse(timeFormat, at)
	if err != nil {
		return false
	}
	var seconds float64
	if json.Unmarshal(ts, &seconds) == nil && seconds != 0 {
		for _, unit := range []float64{1, 1e3, 1e9} { // the log's formats of a number
			if d := seconds/unit - float64(made.UnixMilli())/1e3; d > -0.002 && d < 0.002 {
				return true
			}
		}
		return false
	}
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.000Z0700"} {
		if stamp, err := time.Parse(layout, text(ts)); err == nil {
			return stamp.Sub(made).Abs() < 1001*time.Millisecond
		}
	}
	return true
}
