package wire

import (
	"fmt"
	"hash/fnv"
	"time"
)

// China is China Standard Time, by which the providers write dates. It is a
// fixed offset, since a small image may have no time zone data.
var China = time.FixedZone("CST", 8*60*60)

// Serial returns an order number of the provider's own: 20 digits made of the time
// and of what the number is for.
func Serial(now time.Time, parts ...string) string {
	sum := fnv.New64a()
	for _, part := range parts {
		_, _ = sum.Write([]byte(part))
	}
	return now.In(China).Format("060102150405") + fmt.Sprintf("%08d", sum.Sum64()%100000000)
}
