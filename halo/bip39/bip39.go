// Package bip39 writes bytes as words and reads them back: BIP 39 with its
// English list. A phrase carries its entropy and a checksum of one bit per 32,
// eleven bits a word.
package bip39

import (
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	_ "embed" // for the list of words
	"errors"
	"fmt"
	"math/big"
	"sort"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// ErrPhrase is wrapped by every error about a phrase. No error repeats a word.
var ErrPhrase = errors.New("not a recovery phrase")

const (
	wordBits   = 11
	wordCount  = 1 << wordBits
	iterations = 2048
	seedSize   = 64
)

//go:embed english.txt
var english string

// words is the list in its official order, which is alphabetical.
var words = strings.Fields(english)

// Encode returns entropy of 16, 20, 24, 28 or 32 bytes as 12 to 24 words.
func Encode(entropy []byte) (string, error) {
	if !validSize(len(entropy)) {
		return "", fmt.Errorf("encode phrase: %d bytes: %w", len(entropy), ErrPhrase)
	}
	checkBits := uint(len(entropy) / 4)
	sum := sha256.Sum256(entropy)
	n := new(big.Int).SetBytes(entropy)
	n.Lsh(n, checkBits).Or(n, big.NewInt(int64(sum[0]>>(8-checkBits))))

	out := make([]string, (len(entropy)*8+int(checkBits))/wordBits)
	mask, word := big.NewInt(wordCount-1), new(big.Int)
	for i := len(out) - 1; i >= 0; i-- {
		out[i] = words[word.And(n, mask).Int64()]
		n.Rsh(n, wordBits)
	}
	return strings.Join(out, " "), nil
}

// Decode returns the entropy of a phrase. Letters may be of either case and
// any white space separates words.
func Decode(phrase string) ([]byte, error) {
	fields := strings.Fields(strings.ToLower(phrase))
	size := len(fields) * wordBits * 32 / 33 / 8
	if len(fields)%3 != 0 || !validSize(size) {
		return nil, fmt.Errorf("%d words: %w", len(fields), ErrPhrase)
	}
	n := new(big.Int)
	for i, w := range fields {
		at := sort.SearchStrings(words, w)
		if at == len(words) || words[at] != w {
			return nil, fmt.Errorf("word %d is not in the list: %w", i+1, ErrPhrase)
		}
		n.Lsh(n, wordBits).Or(n, big.NewInt(int64(at)))
	}
	checkBits := uint(size / 4)
	check := new(big.Int).And(n, big.NewInt(1<<checkBits-1)).Int64()
	entropy := n.Rsh(n, checkBits).FillBytes(make([]byte, size))
	sum := sha256.Sum256(entropy)
	if int64(sum[0]>>(8-checkBits)) != check {
		return nil, fmt.Errorf("wrong checksum: %w", ErrPhrase)
	}
	return entropy, nil
}

// Seed returns the 64-byte seed of a phrase and a passphrase, which may be
// empty. It does not check the phrase.
func Seed(phrase, passphrase string) ([]byte, error) {
	salt := []byte("mnemonic" + norm.NFKD.String(passphrase))
	seed, err := pbkdf2.Key(sha512.New, norm.NFKD.String(phrase), salt, iterations, seedSize)
	if err != nil {
		return nil, fmt.Errorf("derive seed: %w", err)
	}
	return seed, nil
}

func validSize(n int) bool { return n >= 16 && n <= 32 && n%4 == 0 }
