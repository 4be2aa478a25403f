//! Who somebody is: passwords, tokens, tenants' tokens, and what ends them; over HTTP, on a database of its own.

use crate::client::{Answer, basic, config, operator};
use serde_json::{Value as Json, json};
use sparkle::Sparkle;

struct Cloud {
    sparkle: Sparkle,
    auth: String,
    _dir: tempfile::TempDir,
}

impl Cloud {
    async fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let sparkle = Sparkle::start(config(dir.path())).await.unwrap();
        let auth = operator(&sparkle);
        Self { sparkle, auth, _dir: dir }
    }

    async fn send(&self, method: &str, path: &str, headers: &str, body: &Json) -> Answer {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        crate::client::send(self.sparkle.api(), method, path, headers, &body).await
    }

    async fn get(&self, path: &str, headers: &str) -> Answer {
        self.send("GET", path, headers, &Json::Null).await
    }

    /// A request of the operator that succeeds; the UUID that it answers with.
    async fn order(&self, method: &str, path: &str, body: Json) -> String {
        let answer = self.send(method, path, &self.auth, &body).await;
        assert_eq!(answer.status, 200, "{method} {path}: {}", answer.body);
        answer.json()["uuids"]["POST"].as_str().unwrap_or_default().to_owned()
    }

    /// A user; the header to sign in with.
    async fn user(&self, email: &str) -> String {
        let data = json!({"password": format!("{email}-secret")});
        self.order("POST", "/v1/user/", json!({"desired": {"email": email, "data": data}})).await;
        basic(&format!("{email}:{email}-secret"))
    }

    async fn tenant(&self, name: &str) -> String {
        self.order("POST", "/v1/tenant/", json!({"desired": {"name": name, "approved": true}})).await
    }

    async fn member(&self, tenant: &str, email: &str, role: &str) -> String {
        let desired = json!({"user": email, "role": role});
        self.order("POST", &format!("/v1/tenant/{tenant}/member/"), json!({"desired": desired})).await
    }

    /// The header of a token that is had at a path.
    async fn token(&self, path: &str, headers: &str) -> String {
        let answer = self.get(path, headers).await;
        assert_eq!(answer.status, 200, "{path}: {}", answer.body);
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        assert!(answer.json()["valid"].as_u64().is_some());
        format!("Authorization: Bearer {}\r\n", answer.json()["token"].as_str().unwrap())
    }
}

fn instance(name: &str) -> Json {
    json!({"desired": {"name": name, "vcpu": 1, "rcpu": 1, "mem": 64}})
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_stands_for_its_user_until_the_password_changes() {
    let cloud = Cloud::start().await;
    let password = cloud.user("u@x").await;
    let token = cloud.token("/v1/token", &password).await;
    assert_eq!(cloud.get("/v1/user/u@x", &token).await.status, 200);
    assert_eq!(cloud.get("/v1/user/u@x", &token.replace("Bearer", "Token")).await.status, 200);
    assert_eq!(cloud.get("/v1/host/", &token).await.status, 403);
    let further = cloud.token("/v1/token", &token).await;
    let change = json!([{"op": "replace", "path": "/desired/data", "value": {"password": "another"}}]);
    assert_eq!(cloud.send("PATCH", "/v1/user/u@x", &further, &change).await.status, 200);
    for ended in [&token, &further, &password] {
        let refused = cloud.get("/v1/user/u@x", ended).await;
        assert_eq!((refused.status, refused.json()["error"].as_str()), (401, Some("unauthenticated")));
        assert!(refused.header("www-authenticate").is_some_and(|it| it.contains("bearer")));
    }
    assert_eq!(cloud.get("/v1/user/u@x", &basic("u@x:another")).await.status, 200);
    assert_eq!(cloud.get("/v1/token", "").await.status, 401);
    cloud.sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_ends_with_its_user_and_with_its_key() {
    let cloud = Cloud::start().await;
    let (one, two) = (cloud.user("one@x").await, cloud.user("two@x").await);
    let (first, second) = (cloud.token("/v1/token", &one).await, cloud.token("/v1/token", &two).await);
    cloud.order("DELETE", "/v1/user/one@x", Json::Null).await;
    assert_eq!(cloud.get("/v1/image/", &first).await.status, 401);
    assert_eq!(cloud.get("/v1/image/", &second).await.status, 200);

    let keys = cloud.get("/v1/token-key/", &cloud.auth).await.json();
    let [key] = keys.as_object().unwrap().keys().collect::<Vec<_>>()[..] else { panic!("{keys}") };
    assert!(keys[key]["desired"].get("secret").is_none(), "{keys}");
    // Rotation: a new key signs, the old one goes on vouching for what it signed.
    cloud.order("POST", "/v1/token-key/", json!({"desired": {}})).await;
    let third = cloud.token("/v1/token", &two).await;
    cloud.order("DELETE", &format!("/v1/token-key/{key}"), Json::Null).await;
    assert_eq!(cloud.get("/v1/image/", &second).await.status, 401);
    assert_eq!(cloud.get("/v1/image/", &third).await.status, 200, "it was signed by the new one");
    // Nobody chooses a key, nor reads one.
    let chosen = json!({"desired": {"secret": "AAAA"}});
    assert_eq!(cloud.send("POST", "/v1/token-key/", &cloud.auth, &chosen).await.status, 400);
    assert_eq!(cloud.get("/v1/token-key/", &two).await.status, 403);
    cloud.sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tenants_token_is_good_for_that_tenant_only_and_only_as_long_as_the_membership() {
    let cloud = Cloud::start().await;
    let user = cloud.user("u@x").await;
    let (mine, other) = (cloud.tenant("mine").await, cloud.tenant("other").await);
    let member = cloud.member(&mine, "u@x", "admin").await;
    cloud.member(&other, "u@x", "operator").await;
    let token = cloud.token(&format!("/v1/tenant/{mine}/token"), &user).await;
    let instances = |tenant: &str| format!("/v1/tenant/{tenant}/instance/");
    assert_eq!(cloud.send("POST", &instances(&mine), &token, &instance("a")).await.status, 200);
    assert_eq!(cloud.get(&instances(&other), &user).await.status, 200);
    assert_eq!(cloud.get(&instances(&other), &token).await.status, 403);
    assert_eq!(cloud.get("/v1/user/u@x", &token).await.status, 403, "nor to change the password");
    assert_eq!(cloud.get("/v1/token", &token).await.status, 403, "nor to get more");
    assert_eq!(cloud.get("/v1/image/", &token).await.status, 200);
    assert_eq!(cloud.get("/v1/tenant/", &token).await.json().as_object().unwrap().len(), 1);

    // The role is looked up each time.
    let path = format!("/v1/tenant/{mine}/member/{member}");
    cloud
        .order("PATCH", &path, json!([{"op": "replace", "path": "/desired/role", "value": "operator"}]))
        .await;
    assert_eq!(cloud.send("POST", &instances(&mine), &token, &instance("b")).await.status, 403);
    cloud.order("DELETE", &path, Json::Null).await;
    assert_eq!(cloud.get(&instances(&mine), &token).await.status, 401);

    // Nobody else gets one, and an operator is an owner there and nowhere else.
    for nowhere in [mine.as_str(), "00000000-0000-0000-0000-000000000001", "nonsense"] {
        assert_eq!(cloud.get(&format!("/v1/tenant/{nowhere}/token"), &user).await.status, 403, "{nowhere}");
    }
    let owner = cloud.token(&format!("/v1/tenant/{other}/token"), &cloud.auth).await;
    let invited = json!({"desired": {"user": "u@x", "role": "owner"}});
    assert_eq!(
        cloud.send("POST", &format!("/v1/tenant/{other}/member/"), &owner, &invited).await.status,
        409
    );
    assert_eq!(cloud.send("POST", &instances(&mine), &owner, &instance("c")).await.status, 403);
    assert_eq!(cloud.get("/v1/host/", &owner).await.status, 403);
    cloud.sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_guesses_is_slowed_down_but_not_the_one_who_is_known() {
    let cloud = Cloud::start().await;
    let user = cloud.user("u@x").await;
    let known = cloud.token("/v1/token", &user).await;
    // Ten at once; a slow machine gives more, one every ten seconds.
    let mut guesses = 0;
    let refused = loop {
        let answer = cloud.get("/v1/image/", &basic(&format!("u@x:guess {guesses}"))).await;
        if answer.status != 401 {
            break answer;
        }
        guesses += 1;
        assert!(guesses < 100, "nobody is slowed down");
    };
    assert!(guesses >= 10, "{guesses}");
    assert_eq!((refused.status, refused.json()["error"].as_str()), (429, Some("too-many-requests")));
    let after: u32 = refused.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=11).contains(&after), "{after}");
    // Also with the right password; but not whoever has just signed in with it, nor a token.
    assert_eq!(cloud.get("/v1/image/", &user).await.status, 200);
    assert_eq!(cloud.get("/v1/image/", &known).await.status, 200);
    assert_eq!(cloud.get("/v1/image/", &cloud.auth).await.status, 200, "nor others");
    cloud.sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_change_their_password_and_nothing_that_would_harm_others() {
    let cloud = Cloud::start().await;
    let user = cloud.user("u@x").await;
    let set = |data: Json| json!([{"op": "x-merge", "path": "/desired/data", "value": data}]);
    let dear =
        "$argon2id$v=19$m=4194304,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    for bad in
        [json!({"hash": dear}), json!({"hash": "plain"}), json!({"password": ""}), json!({"password": 5})]
    {
        let refused = cloud.send("PATCH", "/v1/user/u@x", &user, &set(bad.clone())).await;
        assert_eq!(refused.status, 400, "{bad}: {}", refused.body);
    }
    for (bytes, status) in [(1024, 200), (1025, 400)] {
        let password = "x".repeat(bytes);
        let answer =
            cloud.send("PATCH", "/v1/user/u@x", &cloud.auth, &set(json!({"password": password}))).await;
        assert_eq!(answer.status, status, "{bytes} bytes: {}", answer.body);
    }
    assert_eq!(cloud.get("/v1/user/u@x", &basic(&format!("u@x:{}", "x".repeat(1024)))).await.status, 200);
    cloud.sparkle.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn attempts_are_counted_by_the_address_that_a_known_proxy_names() {
    let dir = tempfile::tempdir().unwrap();
    let mut config = config(dir.path());
    config.http.proxy = vec!["127.0.0.1".parse().unwrap()];
    let sparkle = Sparkle::start(config).await.unwrap();
    let guess = async |n: u32, from: &str| {
        let headers = format!("{}X-Forwarded-For: 203.0.113.9, {from}\r\n", basic(&format!("{n}@x:y")));
        crate::client::send(sparkle.api(), "GET", "/v1/image/", &headers, "").await.status
    };
    let mut guesses = 0;
    while guess(guesses, "198.51.100.1").await == 401 {
        guesses += 1;
        assert!(guesses < 500, "nobody is slowed down");
    }
    assert!(guesses >= 50, "{guesses}");
    assert_eq!(guess(500, "198.51.100.2").await, 401, "another address is another");
    sparkle.shutdown().await;
}
