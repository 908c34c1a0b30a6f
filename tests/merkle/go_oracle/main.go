// The Go libraries as a differential oracle: JSON requests on stdin, one answer a line on stdout.
package main

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"os"

	"github.com/cosmos/iavl"
	dbm "github.com/cosmos/iavl/db"
	ics23 "github.com/cosmos/ics23/go"
)

type operation struct {
	Op    string `json:"op"`
	Key   string `json:"key"`
	Value string `json:"value"`
}

type version struct {
	Ops   []operation `json:"ops"`
	Prove []string    `json:"prove"`
}

type proofCase struct {
	Spec  string `json:"spec"`
	Op    string `json:"op"`
	Root  string `json:"root"`
	Key   string `json:"key"`
	Value string `json:"value"`
	Proof string `json:"proof"`
}

type request struct {
	Versions []version   `json:"versions"`
	Verify   []proofCase `json:"verify"`
}

type provenKey struct {
	Op    string `json:"op"`
	Key   string `json:"key"`
	Proof string `json:"proof"`
}

type savedVersion struct {
	Version int64       `json:"version"`
	Ops     []operation `json:"ops"`
	Root    string      `json:"root"`
	Size    int64       `json:"size"`
	Height  int8        `json:"height"`
	Proofs  []provenKey `json:"proofs"`
}

type answer struct {
	Versions []savedVersion `json:"versions"`
	Valid    []bool         `json:"valid"`
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func unhex(text string) []byte {
	data, err := hex.DecodeString(text)
	must(err)
	return data
}

func replay(versions []version) []savedVersion {
	tree := iavl.NewMutableTree(dbm.NewMemDB(), 0, true, iavl.NewNopLogger())
	saved := make([]savedVersion, 0, len(versions))
	for _, asked := range versions {
		for _, op := range asked.Ops {
			var err error
			if op.Op == "set" {
				_, err = tree.Set(unhex(op.Key), unhex(op.Value))
			} else {
				_, _, err = tree.Remove(unhex(op.Key))
			}
			must(err)
		}
		root, number, err := tree.SaveVersion()
		must(err)
		one := savedVersion{
			Version: number, Ops: asked.Ops, Root: hex.EncodeToString(root),
			Size: tree.Size(), Height: tree.Height(),
		}
		for _, key := range asked.Prove {
			if tree.Size() == 0 {
				break
			}
			proof, err := tree.GetProof(unhex(key))
			must(err)
			data, err := proof.Marshal()
			must(err)
			op := "non_membership"
			if proof.GetExist() != nil {
				op = "membership"
			}
			one.Proofs = append(one.Proofs, provenKey{op, key, hex.EncodeToString(data)})
		}
		saved = append(saved, one)
	}
	return saved
}

func verify(asked proofCase) (valid bool) {
	// The library indexes past the end on some malformed proofs: that is no acceptance.
	defer func() {
		if recover() != nil {
			valid = false
		}
	}()
	spec := map[string]*ics23.ProofSpec{
		"iavl": ics23.IavlSpec, "tendermint": ics23.TendermintSpec, "smt": ics23.SmtSpec,
	}[asked.Spec]
	var proof ics23.CommitmentProof
	if proof.Unmarshal(unhex(asked.Proof)) != nil {
		return false
	}
	if asked.Op == "membership" {
		return ics23.VerifyMembership(spec, unhex(asked.Root), &proof, unhex(asked.Key), unhex(asked.Value))
	}
	return ics23.VerifyNonMembership(spec, unhex(asked.Root), &proof, unhex(asked.Key))
}

func main() {
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	out := json.NewEncoder(os.Stdout)
	for in.More() {
		var asked request
		must(in.Decode(&asked))
		reply := answer{Versions: replay(asked.Versions), Valid: []bool{}}
		for _, one := range asked.Verify {
			reply.Valid = append(reply.Valid, verify(one))
		}
		must(out.Encode(reply))
	}
}
