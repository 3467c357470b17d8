package halo

import "strings"

// sasEmoji are 64 pictures that people name alike and do not mistake for one
// another. Their order is part of the protocol.
var sasEmoji = strings.Fields(`
🐶 🐱 🦁 🐴 🦄 🐷 🐘 🐰 🐼 🐓 🐧 🐢 🐟 🐙 🦋 🌷
🌳 🌵 🍄 🌏 🌙 ☁️ 🔥 🍌 🍎 🍓 🌽 🍕 🎂 ❤️ 🙂 🤖
🎩 👓 🔧 🎅 👍 ☂️ ⌛ ⏰ 🎁 💡 📕 ✏️ 📎 ✂️ 🔒 🔑
🔨 ☎️ 🏁 🚂 🚲 ✈️ 🚀 🏆 ⚽ 🎸 🎺 🔔 ⚓ 🎧 📁 📌`)

// SAS returns four pictures that both ends of a session show, derived from its
// handshake hash: equal on both sides unless somebody stands between them.
func SAS(handshake []byte) [4]string {
	var out [4]string
	for i, b := range derive(handshake, "sas", len(out)) {
		out[i] = sasEmoji[b&63]
	}
	return out
}
