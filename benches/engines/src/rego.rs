//! regorus: Rego over data in which a caller's roles, an entrance's zones, and the
//! effect of a rule by role and zone are each one look-up away.

use std::collections::{BTreeMap, HashMap, HashSet};

use regorus::languages::rego::compiler::Compiler;
use regorus::rvm::RegoVM;
use regorus::{Engine, Value};

use crate::generated::{Effect, Generated};
use crate::{Ask, Request};

const ALLOW: &str = "data.grant.allow";

const RULES: &str = "
package grant
import rego.v1

default allow := false

allow if {
    some role in data.roles[input.caller]
    some zone in data.zones[input.entrance]
    data.rules[role][zone] == \"allow\"
    not denied
}

denied if {
    some role in data.roles[input.caller]
    some zone in data.zones[input.entrance]
    data.rules[role][zone] == \"deny\"
}
";

/// Rego evaluated as it stands.
pub(crate) fn interpreter(generated: Generated) -> Ask {
    let mut engine = engine();
    engine.add_data(data(generated)).unwrap();
    Box::new(move |request| {
        engine.set_input(input(request));
        *engine.eval_rule(ALLOW.into()).unwrap().as_bool().unwrap()
    })
}

/// Rego compiled for regorus's virtual machine.
pub(crate) fn machine(generated: Generated) -> Ask {
    let policy = engine().compile_with_entrypoint(&ALLOW.into()).unwrap();
    let program = Compiler::compile_from_policy(&policy, &[ALLOW]).unwrap();
    let mut machine = RegoVM::new_with_policy(policy);
    machine.load_program(program);
    machine.set_data(data(generated)).unwrap();
    Box::new(move |request| {
        machine.set_input(input(request));
        *machine.execute().unwrap().as_bool().unwrap()
    })
}

fn engine() -> Engine {
    let mut engine = Engine::new();
    engine.add_policy("grant.rego".into(), RULES.into()).unwrap();
    engine
}

fn input((caller, entrance): &Request) -> Value {
    let fields = [("caller", caller), ("entrance", entrance)];
    BTreeMap::from(fields.map(|(name, id)| (name.into(), id.as_str().into()))).into()
}

fn data(generated: Generated) -> Value {
    let mut rules: BTreeMap<Value, BTreeMap<Value, Value>> = BTreeMap::new();
    // Groups that no rule names need not be tried.
    let mut named = HashSet::new();
    for (subject, object, effect) in generated.rules() {
        let effect = if effect == Effect::Deny { "deny" } else { "allow" };
        let of_subject = rules.entry(subject.as_str().into()).or_default();
        of_subject.insert(object.as_str().into(), effect.into());
        named.extend([subject, object]);
    }
    let rules = rules.into_iter().map(|(role, zones)| (role, zones.into()));
    let rules: BTreeMap<Value, Value> = rules.collect();
    let roles = groups(&generated.roles().collect(), "caller:", &named);
    let zones = groups(&generated.zones().collect(), "entrance:", &named);
    let all = [("rules", rules.into()), ("roles", roles), ("zones", zones)];
    BTreeMap::from(all.map(|(name, value): (&str, Value)| (name.into(), value))).into()
}

/// For each id of a kind, its own name and its groups'.
fn groups(parents: &HashMap<String, String>, kind: &str, named: &HashSet<String>) -> Value {
    let members = parents.keys().filter_map(|name| Some((name, name.strip_prefix(kind)?)));
    let all = members.map(|(name, id)| {
        let names = std::iter::successors(Some(name), |name| parents.get(*name));
        let names = names.filter(|name| named.contains(*name));
        let names: Vec<Value> = names.map(|name| name.as_str().into()).collect();
        (Value::from(id), Value::from(names))
    });
    all.collect::<BTreeMap<Value, Value>>().into()
}
