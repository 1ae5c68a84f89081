package providers_test

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/countersign/caddy-countersign/module/message"
	"github.com/countersign/caddy-countersign/module/providers/providertest"
	"github.com/countersign/caddy-countersign/module/scheme"
)

func TestGenuineNotification(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		n := p.signedNotification(t, p.notification)
		opened, err := p.openNotification(t, n)
		require.NoError(t, err)
		assert.NotEmpty(t, opened.Signed)
		assert.NotEmpty(t, opened.Canonical)
		if n.Body != nil {
			assert.Equal(t, string(n.Body.Source()), string(opened.Body), "it reaches the application as it came")
		}
		require.NoError(t, n.Keys.Need(p.scheme(t).Describe().Notification.Roles...))
	})
}

// What Signed says may be expected of a notification is what breaks the
// signature.
func TestTamperingWithEachMemberOfANotification(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		n := p.signedNotification(t, p.notification)
		signed := p.scheme(t).Signs
		assert.False(t, signed("sign"))
		if n.Body == nil {
			for i, param := range n.Form {
				forged := n
				forged.Form = slices.Clone(n.Form)
				forged.Form[i].Value += "1"
				_, err := p.openNotification(t, forged)
				assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), param.Name)
				assert.Equal(t, param.Name != "sign", signed(param.Name), param.Name)
			}
			return
		}
		for _, l := range leavesOf(n.Body) {
			if l.path == "sign" {
				continue
			}
			forged := n
			forged.Body = providertest.Parse(t, tampered(t, n.Body, l))
			_, err := p.openNotification(t, forged)
			if slices.Contains(p.notifiedUnsigned, l.path) {
				assert.NoError(t, err, "%s is not signed", l.path)
				assert.False(t, signed(l.path), l.path)
			} else {
				assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err), "%s is signed", l.path)
				assert.True(t, signed(l.path), l.path)
			}
		}
	})
}

func TestTheSignatureOfANotification(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		genuine := p.signedNotification(t, p.notification)
		other := p.signedNotification(t, replace(t, p.notification, "remark", "another"))
		for name, c := range map[string]struct {
			sign string
			want scheme.Reason
		}{
			"none": {"", scheme.Unsigned}, "of another message": {signOf(t, other), scheme.BadSignature}, "of nothing": {"00", scheme.BadSignature},
		} {
			n := genuine
			if n.Body != nil {
				n.Body = providertest.Parse(t, providertest.WithSign(t, string(n.Body.Source()), c.sign))
			} else {
				n.Form = slices.Clone(n.Form)
				n.Form[len(n.Form)-1].Value = c.sign
			}
			_, err := p.openNotification(t, n)
			assert.Equal(t, c.want, scheme.ReasonOf(err), name)
		}
	})
}

func signOf(t *testing.T, n providertest.Notification) string {
	t.Helper()
	if n.Body == nil {
		return n.Form[len(n.Form)-1].Value
	}
	return providertest.Text(t, n.Body, "sign")
}

func TestAParameterTwice(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		if !p.isForm(t) {
			return
		}
		n := p.signedNotification(t, p.notification)
		for _, param := range n.Form {
			twice := n
			twice.Form = append(slices.Clone(n.Form), param)
			_, err := p.openNotification(t, twice)
			assert.Equal(t, scheme.Invalid, scheme.ReasonOf(err), param.Name)
		}
	})
}

func TestANotificationThatHoldsAnotherMember(t *testing.T) {
	each(t, func(t *testing.T, p provider) {
		injected := map[string]string{"easypay": "transAmt", "jeepay": "amount", "hbsk": "time", "hkrt": "amt", "hongwen": "total_amount"}[p.name]
		separator := "&"
		if p.isForm(t) {
			separator = "%26"
		}
		n := p.signedNotification(t, replace(t, p.notification, "remark"+after(p), "x"+separator+injected+"=9"+after(p)))
		_, err := p.openNotification(t, n)
		assert.Equal(t, p.ambiguous(), scheme.ReasonOf(err))
		n = p.signedNotification(t, replace(t, p.notification, "remark"+after(p), "x"+separator+"noSuchMember=9"+after(p)))
		_, err = p.openNotification(t, n)
		assert.NoError(t, err)
	})
}

// after returns what stands behind the value that is replaced, where its member has
// the same name.
func after(p provider) string {
	switch p.name {
	case "hbsk":
		return `\"`
	case "hkrt":
		return `"}`
	default:
		return ""
	}
}

// Some senders leave the + of Base64 unescaped, which a form reads as a blank,
// and some escape twice.
func TestTheSignatureOfAFormIsEscapedWrongly(t *testing.T) {
	p := five[slices.IndexFunc(five, func(p provider) bool { return p.name == "hongwen" })]
	s, held := p.scheme(t), p.merchant(t)
	open := func(form, sign string) error {
		m := message.New(message.Notification)
		m.Method, m.Wire = "POST", []byte(form+"&sign="+sign)
		require.NoError(t, s.Describe().Notification.Format.Read(m))
		_, err := scheme.Open(s, scheme.Incoming{Message: m, Keys: held})
		return err
	}
	plus := 0
	for i := range 20 {
		form := fmt.Sprintf("out_trade_no=D%d&attach=remark", i)
		sign := signOf(t, p.signedNotification(t, form))
		plus += strings.Count(sign, "+")
		assert.NoError(t, open(form, url.QueryEscape(sign)))
		assert.NoError(t, open(form, strings.NewReplacer("=", "%3D", "/", "%2F").Replace(sign)))
		err := open(form, url.QueryEscape(url.QueryEscape(sign)))
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(err))
		assert.ErrorContains(t, err, "escaped it twice")
		assert.NotContains(t, err.Error(), sign)
		assert.Equal(t, scheme.BadSignature, scheme.ReasonOf(open(strings.Replace(form, "D", "E", 1), sign)))
	}
	assert.Positive(t, plus)
}
