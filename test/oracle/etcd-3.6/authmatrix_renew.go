package main

import (
	"context"
	"fmt"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

// runAuthRenew uses clientv3 with a name and a password, which renews its token when the server refuses the old one.
func runAuthRenew(r *authRun) error {
	if err := r.setUpTokens(); err != nil {
		return err
	}
	if err := r.logInRoot(); err != nil {
		return err
	}
	client, err := clientv3.New(clientv3.Config{
		Endpoints: []string{r.endpoint}, DialTimeout: 5 * time.Second, Username: "ann", Password: passwordFor("ann"),
	})
	if err != nil {
		return err
	}
	defer client.Close()
	ctx, cancel := context.WithCancel(r.ctx)
	defer cancel()
	first := client.Watch(ctx, "k/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())
	r.say("ann", "watch", watchText(first), nil)
	r.sayCalls(client, "at first")

	if err := r.asRoot("change", func(ctx context.Context) error { return addRole("later")(r, ctx) }); err != nil {
		return err
	}
	r.sayCalls(client, "after a change of users")
	r.say("ann", "after a change of users: the first watch", watchText(first), nil)

	time.Sleep(r.ttl + 2500*time.Millisecond)
	r.sayCalls(client, "after the token's time")
	r.say("ann", "after the token's time: the first watch", watchText(first), nil)
	time.Sleep(r.ttl + 2500*time.Millisecond)
	r.sayWatch(client, "after its time again")

	if err := r.asRoot("password", func(ctx context.Context) error { return changePassword("ann", "another")(r, ctx) }); err != nil {
		return err
	}
	r.sayCalls(client, "after a change of password")
	return nil
}

// sayCalls does each kind of thing once.
func (r *authRun) sayCalls(client *clientv3.Client, when string) {
	ctx, cancel := context.WithTimeout(r.ctx, 2*authCallLimit)
	defer cancel()
	say := func(what string, err error) {
		answer := "OK"
		if err != nil {
			answer = fmt.Sprintf("%T %v", err, err)
		}
		r.say("ann", when+": "+what, answer, nil)
	}
	_, err := client.Put(ctx, "k/a", "v")
	say("put", err)
	_, err = client.Get(ctx, "k/a")
	say("get", err)
	_, err = client.Get(ctx, "k/a", clientv3.WithSerializable())
	say("get serializable", err)
	_, err = client.Txn(ctx).Then(clientv3.OpPut("k/a", "v"), clientv3.OpGet("k/a")).Commit()
	say("txn", err)
	_, err = client.Get(ctx, "x/1")
	say("get what is not allowed", err)
	_, err = client.Put(ctx, "x/1", "v")
	say("put what is not allowed", err)
	granted, err := client.Grant(ctx, 60)
	say("grant", err)
	if err == nil {
		_, err = client.KeepAliveOnce(ctx, granted.ID)
		say("keep alive", err)
		_, err = client.Revoke(ctx, granted.ID)
		say("revoke", err)
	}
	_, err = client.Delete(ctx, "k/none")
	say("delete", err)
	_, err = client.MemberList(ctx)
	say("list members", err)
	_, err = client.UserList(ctx)
	say("list users", err)
	r.sayWatch(client, when)
}

// sayWatch opens a watch on a stream of its own, so that the token is asked for.
func (r *authRun) sayWatch(client *clientv3.Client, when string) {
	ctx, cancel := context.WithTimeout(r.ctx, authCallLimit)
	defer cancel()
	alone := clientv3.WithRequireLeader(ctx)
	r.say("ann", when+": a new watch", watchText(client.Watch(alone, "k/", clientv3.WithPrefix(), clientv3.WithCreatedNotify())), nil)
}

// watchText is the next thing a watch says.
func watchText(watch clientv3.WatchChan) string {
	select {
	case answer, isOpen := <-watch:
		switch {
		case !isOpen:
			return "closed"
		case answer.Err() != nil:
			return fmt.Sprintf("%T %v", answer.Err(), answer.Err())
		case answer.Created:
			return "created"
		}
		return fmt.Sprintf("events %v", len(answer.Events) > 0)
	case <-time.After(authCallLimit):
		return "nothing"
	}
}
