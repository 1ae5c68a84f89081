package listening

import (
	"bufio"
	"encoding/binary"
	"encoding/hex"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/countersign/caddy-countersign/module/i18n"
)

// others returns the TCP sockets on which other processes listen, in the network
// namespace of this one.
func others() ([]netip.AddrPort, error) {
	own, err := ownSockets()
	if err != nil {
		return nil, err
	}
	var found []netip.AddrPort
	read := false
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		file, err := os.Open(table)
		if err != nil {
			continue // there is no IPv6, or no /proc
		}
		read = true
		lines := bufio.NewScanner(file)
		for lines.Scan() {
			if address, inode, ok := listener(lines.Text()); ok && !own[inode] {
				found = append(found, address)
			}
		}
		err = lines.Err()
		_ = file.Close()
		if err != nil {
			return nil, i18n.Errorf("reading %s: %w", table, err)
		}
	}
	if !read {
		return nil, errUnknown
	}
	return found, nil
}

// ownSockets returns the inodes of this process's sockets.
func ownSockets() (map[string]bool, error) {
	const folder = "/proc/self/fd"
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil, i18n.Errorf("listing the own sockets: %w", err)
	}
	own := make(map[string]bool)
	for _, entry := range entries {
		target, err := os.Readlink(filepath.Join(folder, entry.Name()))
		if inode, ok := strings.CutPrefix(target, "socket:["); err == nil && ok {
			own[strings.TrimSuffix(inode, "]")] = true
		}
	}
	return own, nil
}

// The columns of /proc/net/tcp, and the state of a socket that listens.
const (
	columnLocal  = 1
	columnState  = 3
	columnInode  = 9
	stateListen  = "0A"
	bytesOfGroup = 4 // of an address, in the order of the machine
)

// listener reads one line of /proc/net/tcp.
func listener(line string) (address netip.AddrPort, inode string, ok bool) {
	columns := strings.Fields(line)
	if len(columns) <= columnInode || columns[columnState] != stateListen {
		return netip.AddrPort{}, "", false
	}
	host, port, _ := strings.Cut(columns[columnLocal], ":")
	raw, err := hex.DecodeString(host)
	if err != nil || len(raw)%bytesOfGroup != 0 {
		return netip.AddrPort{}, "", false
	}
	for at := 0; at < len(raw); at += bytesOfGroup {
		binary.BigEndian.PutUint32(raw[at:], binary.NativeEndian.Uint32(raw[at:]))
	}
	ip, ok := netip.AddrFromSlice(raw)
	number, err := strconv.ParseUint(port, 16, 16)
	if !ok || err != nil {
		return netip.AddrPort{}, "", false
	}
	return netip.AddrPortFrom(ip.Unmap(), uint16(number)), columns[columnInode], true
}
