package providers_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/countersign/caddy-countersign/module/body"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
)

// BenchmarkLargeSeal reads and seals large requests of easypay 易生, which
// encrypts their list, and of hkrt 海科, which has the longest way to its
// canonical string. It must cost the body's length and no more: x-64KiB, which
// compares the time for a byte with that of the smallest body, is about 1. In
// the smallest, easypay's RSA still shows.
func BenchmarkLargeSeal(b *testing.B) {
	for _, large := range []struct {
		name      string
		reference string
		settings  []providertest.Setting
		request   string // with %s for the elements of its list
		element   string
	}{
		{
			name: "easypay", reference: "easypay/ORG000000000007",
			request: `{"orgId":"ORG000000000007","orgTrace":"1","bizData":{"oriOrgTrace":"T1","transAmt":"100","orderSubDetails":[%s]}}`,
			element: `{"orgMercode":"831135358120002","orgTermno":"21120434","transAmt":"1","body":"分账"}`,
		},
		{
			name: "hkrt", reference: "hkrt/405544499f016a9b3d8f57000f",
			settings: []providertest.Setting{{"access_id", "405544499f016a9b3d8f57000f"}},
			request:  `{"agent_no":"FF109108120","apply_no":"202301040535","ledger_relation":[%s]}`,
			element:  `{"receive_no":"833112128140726","amt":"0.01","remark":"分账"}`,
		},
	} {
		s := providertest.Configure(b, large.name, large.settings...)
		set := providertest.Merchant(b, large.reference)
		smallest := 0.0
		for _, kib := range []int{64, 256, 1024, 4096} {
			b.Run(fmt.Sprintf("%s/%dKiB", large.name, kib), func(b *testing.B) {
				list := strings.Repeat(large.element+",", kib<<10/(len(large.element)+1)) + large.element
				text := []byte(fmt.Sprintf(large.request, list))
				for b.Loop() {
					plain, err := body.Parse(text)
					if err != nil {
						b.Fatal(err)
					}
					if _, err := s.Seal(providertest.Request{Body: plain, Keys: set, Now: time.Unix(1700000000, 0)}); err != nil {
						b.Fatal(err)
					}
				}
				perByte := float64(b.Elapsed().Nanoseconds()) / float64(b.N) / float64(len(text))
				if kib == 64 && (smallest == 0 || perByte < smallest) {
					smallest = perByte
				}
				b.ReportMetric(perByte, "ns/byte")
				if smallest > 0 {
					b.ReportMetric(perByte/smallest, "x-64KiB")
				}
			})
		}
	}
}
