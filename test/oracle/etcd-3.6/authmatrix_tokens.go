package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"time"

	pb "go.etcd.io/etcd/api/v3/etcdserverpb"
	"google.golang.org/grpc/metadata"
)

// authShown is what a request shows instead of a login: read from stdin as a list in JSON.
type authShown struct {
	Name string
	// Key is the name of the metadata, "token" unless given.
	Key   string
	Token string
	// Second is shown behind it under the same name.
	Second string
}

func tokenUnder(ctx context.Context, key, token string) context.Context {
	return metadata.AppendToOutgoingContext(ctx, key, token)
}

// runAuthTokens makes users, logs in, and makes a few requests with each token of stdin, and with its own login
// shown in other ways.
func runAuthTokens(r *authRun) error {
	var shown []authShown
	if err := json.NewDecoder(os.Stdin).Decode(&shown); err != nil {
		return fmt.Errorf("the tokens on stdin: %w", err)
	}
	if err := r.setUpTokens(); err != nil {
		return err
	}
	for _, name := range []string{"root", "ann"} {
		token, err := r.logIn(name, passwordFor(name))
		r.say(name, "log in", r.tokenText(token), err)
		if name == "ann" && err == nil {
			shown = append(waysToShow(token), shown...)
		}
	}
	_, err := r.logIn("without", "")
	r.say("without", "log in", "OK", err)
	for _, each := range shown {
		r.sayShown(each)
	}
	return nil
}

func (r *authRun) setUpTokens() error {
	for _, key := range []string{"k/a", "x/1"} {
		if _, err := r.kv.Put(r.ctx, &pb.PutRequest{Key: []byte(key), Value: []byte("v")}); err != nil {
			return err
		}
	}
	for _, step := range []func() error{
		func() error { return r.addRole("its", permission(mayBoth, "k/", "k0")) },
		func() error { return r.addUser("ann", "its") },
		func() error { return r.addUser("bob") },
		func() error { return addUser("without", "", true)(r, r.ctx) },
		func() error { return r.grantRole("without", "its") },
		func() error { return r.addRole("root") },
		func() error { return r.addUser("root", "root") },
	} {
		if err := step(); err != nil {
			return err
		}
	}
	state, err := r.auth.AuthStatus(r.ctx, &pb.AuthStatusRequest{})
	if err != nil {
		return err
	}
	r.say("anybody", "state", fmt.Sprintf("revision %d", state.AuthRevision), nil)
	_, err = r.auth.AuthEnable(r.ctx, &pb.AuthEnableRequest{})
	return err
}

// waysToShow are where a good token may stand, and what may be around it.
func waysToShow(token string) []authShown {
	return []authShown{
		{Name: "as it is", Token: token},
		{Name: "as Bearer", Token: "Bearer " + token},
		{Name: "as bearer", Token: "bearer " + token},
		{Name: "as Bearer twice", Token: "Bearer Bearer " + token},
		{Name: "as authorization", Key: "authorization", Token: token},
		{Name: "as authorization Bearer", Key: "authorization", Token: "Bearer " + token},
		{Name: "as Authorization", Key: "Authorization", Token: token},
		{Name: "under another name", Key: "x-token", Token: token},
		{Name: "before another", Token: token, Second: "garbage"},
		{Name: "behind another", Token: "garbage", Second: token},
		{Name: "with a letter more", Token: token + "A"},
		{Name: "with a dot more", Token: token + "."},
		{Name: "without its last letter", Token: token[:len(token)-1]},
		{Name: "in capitals", Token: strings.ToUpper(token)},
		{Name: "empty", Token: ""},
		{Name: "only Bearer", Token: "Bearer "},
		{Name: "a dot", Token: "."},
		{Name: "without what is before the dot", Token: token[strings.IndexByte(token, '.'):]},
		{Name: "without what is behind the dot", Token: token[:strings.IndexByte(token, '.')+1]},
		{Name: "of an early entry", Token: "abcdefghijklmnop.1"},
		{Name: "of a signed entry", Token: "abcdefghijklmnop.+1"},
		{Name: "of an entry in hexadecimal", Token: "abcdefghijklmnop.0x1"},
		{Name: "of an entry that cannot be", Token: "abcdefghijklmnop.99999999999999999999"},
	}
}

func (r *authRun) sayShown(shown authShown) {
	key := shown.Key
	if key == "" {
		key = "token"
	}
	ctx, cancel := context.WithTimeout(tokenUnder(r.ctx, key, shown.Token), authCallLimit)
	defer cancel()
	if shown.Second != "" {
		ctx = tokenUnder(ctx, key, shown.Second)
	}
	say := func(what, answer string, err error) { r.say(shown.Name, what, answer, err) }
	got, err := r.kv.Range(ctx, rangeOf("k/a", ""))
	say("get", rangeText(got), err)
	got, err = r.kv.Range(ctx, rangeOf("x/1", ""))
	say("get what is not allowed", rangeText(got), err)
	put, err := r.kv.Put(ctx, &pb.PutRequest{Key: []byte("k/a"), Value: []byte("v")})
	say("put", putText(put), err)
	_, err = r.cluster.MemberList(ctx, &pb.MemberListRequest{})
	say("list members", "OK", err)
	_, err = r.auth.UserList(ctx, &pb.AuthUserListRequest{})
	say("list users", "OK", err)
	text, watch := "", (*authWatch)(nil)
	if watch, err = r.openWatch(ctx); err == nil {
		text, _, err = watch.create(watchOf("k/", "k0"))
	}
	say("watch", text, err)
}

var simpleToken = regexp.MustCompile(`^[A-Za-z]{16}\.[0-9]+$`)

// tokenText says what kind of token it is: of a JWT the header, the claims, and whether it lives as long as it should.
func (r *authRun) tokenText(token string) string {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return fmt.Sprintf("a simple token %v", simpleToken.MatchString(token))
	}
	var header, claims map[string]any
	for at, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.DecodeString(parts[at])
		if err == nil {
			err = json.Unmarshal(text, into)
		}
		if err != nil {
			return "a token that cannot be read: " + err.Error()
		}
	}
	expiry, _ := claims["exp"].(float64)
	left := time.Until(time.Unix(int64(expiry), 0))
	isOnTime := left > r.ttl-3*time.Second && left <= r.ttl
	headerText, _ := json.Marshal(header) // a map of what was JSON
	return fmt.Sprintf("%s, claims %v, of %v, revision %v, on time %v", headerText, slices.Sorted(maps.Keys(claims)),
		claims["username"], claims["revision"], isOnTime)
}
