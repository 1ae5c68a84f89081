package main

import (
	"encoding/binary"
	"fmt"
	"os"
)

// latencyFile takes how many microseconds a core may need to wake up, for as long
// as it is open: https://docs.kernel.org/power/pm_qos_interface.html
const latencyFile = "/dev/cpu_dma_latency"

// stayAwake keeps idle cores from halting until the measurement ends. To wake one
// that halts costs who wakes it some microseconds, on a virtual machine most, and
// the cores of the load are idle the more, the more a Caddy has to do: so a target
// would pay for more than it does.
func (b *bench) stayAwake() {
	file, err := os.OpenFile(latencyFile, os.O_WRONLY, 0)
	if err == nil {
		b.stop = append(b.stop, func() { _ = file.Close() })
		_, err = file.Write(binary.NativeEndian.AppendUint32(nil, 0))
	}
	if err != nil {
		b.report.note("Idle cores may halt, which counts against all that is slower than the plain proxy: %v", fmt.Errorf("asking for their staying awake: %w", err))
	}
}
