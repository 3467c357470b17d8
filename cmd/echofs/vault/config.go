package vault

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	iofs "io/fs"
	"net/url"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"echofs/cmd/echofs/control"
)

// Config is the settings of a vault. They are kept sealed: names and addresses
// say who somebody is and whom they meet.
type Config struct {
	Name     string   `json:"name"`      // of the person, as members see it
	Device   string   `json:"device"`    // of this machine
	NoPhrase bool     `json:"no_phrase"` // the identity was made without keeping its phrase
	Signal   []string `json:"signal"`    // URLs of signaling servers (ws, wss)
	ICE      []string `json:"ice"`       // URLs of STUN and TURN servers
	NoLAN    bool     `json:"no_lan"`    // do not look for devices on the local network

	NoPresence  bool  `json:"no_presence,omitempty"`  // do not tell others which files are open here
	RelaySpace  int64 `json:"relay_space,omitempty"`  // bytes that are kept of a space as its relay; 0 for the default
	RelayDevice int64 `json:"relay_device,omitempty"` // and of them of one device
}

// maxConfig bounds the file of the settings, in bytes.
const maxConfig = 64 << 10

// maxName bounds the name of a person or a device, in bytes.
const maxName = 100

// parseConfig reads settings from JSON.
func parseConfig(b []byte) (Config, error) {
	var c Config
	dec := json.NewDecoder(bytes.NewReader(b))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&c); err != nil {
		return c, fmt.Errorf("read settings: %w", err)
	}
	return c, c.check()
}

// plainConfig reads the settings that an earlier version has left in plain;
// without a file they are empty.
func (d *Dir) plainConfig() (Config, error) {
	b, err := readPrivate(d.file(configName), maxConfig)
	if errors.Is(err, iofs.ErrNotExist) {
		return Config{}, nil
	}
	if err != nil {
		return Config{}, fmt.Errorf("read settings: %w", err)
	}
	c, err := parseConfig(b)
	return c, control.WithHint(err, "correct or remove "+d.file(configName))
}

// Check refuses names and addresses that cannot be.
func (c Config) Check() error { return c.check() }

func (c Config) check() error {
	for _, name := range []string{c.Name, c.Device} {
		if len(name) > maxName || !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) {
			return fmt.Errorf("name %q: longer than %d bytes or not plain text: %w", name, maxName, control.ErrUsage)
		}
	}
	if err := checkURLs("signal", c.Signal, "ws", "wss"); err != nil {
		return err
	}
	return checkURLs("ice", c.ICE, "stun", "stuns", "turn", "turns")
}

// checkURLs refuses URLs of other schemes than the named ones.
func checkURLs(what string, urls []string, schemes ...string) error {
	for _, s := range urls {
		u, err := url.Parse(s)
		if err != nil || u.Host+u.Opaque == "" || !slices.Contains(schemes, u.Scheme) {
			return control.WithHint(fmt.Errorf("%s server %q is no URL of the kinds %q: %w", what, s, schemes, control.ErrUsage),
				fmt.Sprintf("for example: --%s %s", what, map[string]string{"signal": "wss://example.org", "ice": "stun:example.org"}[what]))
		}
	}
	return nil
}
