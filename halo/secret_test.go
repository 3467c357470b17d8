package halo_test

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"echofs/halo"
)

func TestSecretsDoNotPrint(t *testing.T) {
	marker := bytes.Repeat([]byte{0xa7}, 32)
	key, err := halo.EpochKeyFromBytes(marker)
	check(t, err)
	secret, err := halo.NewSecret(marker)
	check(t, err)
	invite, err := halo.NewInvite(halo.InviteMember, nil, now)
	check(t, err)
	code, err := invite.Code()
	check(t, err)
	device := newDevice(t)
	encoded, err := device.Encode()
	check(t, err)
	p := newPerson(t)
	protector := halo.PassphraseProtector([]byte("correct horse"), halo.DefaultArgon)
	store, err := halo.NewKeystore()
	check(t, err)
	store.Store = secret

	type hidden struct {
		v any
		e halo.EpochKey
		s halo.Secret
		p halo.Protector
		i halo.Invite
		d *halo.DeviceKeys
		r *halo.RootKeys
	}
	nested := hidden{store, key, secret, protector, invite, device, p.root}
	values := []any{key, secret, key.Swarm(halo.SpaceID{}), device, *device, p.root, *p.root, invite, &invite, protector,
		store, *store, nested, &nested, []any{nested}, map[string]any{"k": key}}
	needles := []string{hex.EncodeToString(marker[:8]), strings.Repeat("167 ", 8)[:31], string(marker[:8]), "correct horse",
		hex.EncodeToString([]byte("correct horse")), strings.Trim(fmt.Sprint([]byte("correct")), "[]"), code[8:24],
		hex.EncodeToString(encoded[4:12]), strings.Trim(fmt.Sprint(encoded[4:12]), "[]")}
	for _, v := range values {
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("x", "v", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("x", "v", v)
		outputs := []string{log.String()}
		for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d"} {
			outputs = append(outputs, fmt.Sprintf(verb, v))
		}
		if b, err := json.Marshal(v); err == nil {
			outputs = append(outputs, string(b))
		}
		for _, out := range outputs {
			for _, needle := range needles {
				if strings.Contains(strings.ToLower(out), strings.ToLower(needle)) {
					t.Errorf("%T prints %q in %q", v, needle, out)
				}
			}
		}
	}
}

func TestSmallOrderKeysAreRefused(t *testing.T) {
	point := func(s string) []byte {
		b, err := hex.DecodeString(s)
		check(t, err)
		return b
	}
	for _, key := range [][]byte{
		nil,
		make([]byte, 31),
		point("0100000000000000000000000000000000000000000000000000000000000000"), // the identity
		point("0000000000000000000000000000000000000000000000000000000000000000"), // order 4
		point("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // order 2
		point("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05"), // order 8
		point("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f"), // the identity, not canonical
	} {
		if err := halo.CheckSignKey(key); !errors.Is(err, halo.ErrBadKey) {
			t.Errorf("CheckSignKey(%x): got %v, want ErrBadKey", key, err)
		}
	}
	good := newDevice(t).Public()
	check(t, good.Check())
	for name, change := range map[string]func(*halo.DevicePublic){
		"session key zero":          func(p *halo.DevicePublic) { p.Noise = [32]byte{} },
		"session key one":           func(p *halo.DevicePublic) { p.Noise = [32]byte{1} },
		"session key high bit":      func(p *halo.DevicePublic) { p.Noise[31] |= 0x80 },
		"session key not reduced":   func(p *halo.DevicePublic) { p.Noise = repeated32(0xff); p.Noise[31], p.Noise[0] = 0x7f, 0xf6 },
		"receiving key short":       func(p *halo.DevicePublic) { p.KEM = p.KEM[1:] },
		"receiving key small order": func(p *halo.DevicePublic) { p.KEM = append(bytes.Clone(p.KEM[:1184]), make([]byte, 32)...) },
		"signature key zero":        func(p *halo.DevicePublic) { p.Sign = [32]byte{} },
	} {
		bad := good
		change(&bad)
		if err := bad.Check(); !errors.Is(err, halo.ErrBadKey) {
			t.Errorf("%s: got %v, want ErrBadKey", name, err)
		}
	}
}

func TestDeviceKeysGoThroughBytes(t *testing.T) {
	keys := newDevice(t)
	raw, err := keys.Encode()
	check(t, err)
	got, err := halo.DecodeDeviceKeys(raw)
	check(t, err)
	if got.ID() != keys.ID() || !bytes.Equal(got.NoiseKey(), keys.NoiseKey()) || !bytes.Equal(got.Sign([]byte("m")), keys.Sign([]byte("m"))) {
		t.Error("the decoded keys are others")
	}
	if _, err := halo.DecodeDeviceKeys(raw[:len(raw)-1]); !errors.Is(err, halo.ErrMalformed) {
		t.Errorf("DecodeDeviceKeys of a part: got %v, want ErrMalformed", err)
	}
}
