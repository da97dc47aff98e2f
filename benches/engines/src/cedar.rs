//! cedar-policy. Callers and roles are principals, entrances and zones resources.

use std::collections::{HashMap, HashSet};

use cedar_policy::{
    Authorizer, Context, Decision, Entities, Entity, EntityId, EntityTypeName, EntityUid,
    PolicySet, Request, RestrictedExpression,
};

use crate::Ask;
use crate::generated::{Effect, Generated};

/// One policy for what allows and one for what denies. A caller has the set of its roles,
/// an entrance and a floor each the sets of roles that rules allow and deny there; those
/// of the site are among the floor's.
const TWO: &str = r#"
permit (principal, action == Action::"grant", resource) when {
    principal.roles.containsAny(resource.floor.allow)
    || principal.roles.containsAny(resource.allow)
};
forbid (principal, action == Action::"grant", resource) when {
    principal.roles.containsAny(resource.floor.deny)
    || principal.roles.containsAny(resource.deny)
};
"#;

type Attributes = HashMap<String, RestrictedExpression>;

pub(crate) fn data(generated: Generated) -> Ask {
    let mut named = HashSet::new();
    // By object, what allows and what denies.
    let mut rules: HashMap<String, [Vec<RestrictedExpression>; 2]> = HashMap::new();
    for (subject, object, effect) in generated.rules() {
        let sets = rules.entry(object).or_default();
        sets[usize::from(effect == Effect::Deny)].push(reference(&subject));
        named.insert(subject);
    }
    let mut entities = Vec::new();
    let zones: HashMap<String, String> = generated.zones().collect();
    let floors: HashSet<&String> =
        zones.values().filter(|zone| zones.contains_key(*zone)).collect();
    for object in zones.keys() {
        let mut sets = rules.get(object).cloned().unwrap_or_default();
        let group = &zones[object];
        let mut attributes = Attributes::new();
        if floors.contains(object) {
            for (set, of_site) in sets.iter_mut().zip(rules.get(group).into_iter().flatten()) {
                set.extend(of_site.iter().cloned());
            }
        } else {
            attributes.insert("floor".into(), reference(group));
        }
        for (name, set) in ["allow", "deny"].into_iter().zip(sets) {
            attributes.insert(name.into(), RestrictedExpression::new_set(set));
        }
        entities.push(Entity::new(uid(object), attributes, HashSet::new()).unwrap());
    }
    let parents: HashMap<String, String> = generated.roles().collect();
    for caller in parents.keys().filter(|name| name.starts_with("caller:")) {
        let roles = std::iter::successors(parents.get(caller), |role| parents.get(*role));
        let roles = roles.filter(|role| named.contains(*role)).map(|role| reference(role));
        let roles = RestrictedExpression::new_set(roles);
        let attributes = Attributes::from([("roles".into(), roles)]);
        entities.push(Entity::new(uid(caller), attributes, HashSet::new()).unwrap());
    }
    ask(TWO.parse().unwrap(), Entities::from_entities(entities, None).unwrap())
}

pub(crate) fn policies(generated: Generated) -> Ask {
    let policy = |(subject, object, effect): (String, String, Effect)| {
        let word = if effect == Effect::Deny { "forbid" } else { "permit" };
        let (subject, object) = (uid(&subject), uid(&object));
        format!(
            "{word} (principal in {subject}, action == Action::\"grant\", resource in {object});\n"
        )
    };
    let text: String = generated.rules().map(policy).collect();
    let mut parents: HashMap<String, HashSet<EntityUid>> = HashMap::new();
    for (member, group) in generated.roles().chain(generated.zones()) {
        parents.entry(group.clone()).or_default();
        parents.entry(member).or_default().insert(uid(&group));
    }
    let entities =
        parents.into_iter().map(|(name, parents)| Entity::new_no_attrs(uid(&name), parents));
    ask(text.parse().unwrap(), Entities::from_entities(entities, None).unwrap())
}

fn ask(policies: PolicySet, entities: Entities) -> Ask {
    let authorizer = Authorizer::new();
    let [caller, entrance] = ["Caller", "Entrance"].map(|name| name.parse().unwrap());
    let action: EntityUid = "Action::\"grant\"".parse().unwrap();
    let id = |kind: &EntityTypeName, id: &str| {
        EntityUid::from_type_name_and_id(kind.clone(), EntityId::new(id))
    };
    Box::new(move |request| {
        let (principal, resource) = (id(&caller, &request.0), id(&entrance, &request.1));
        let request = Request::new(principal, action.clone(), resource, Context::empty(), None);
        let answer = authorizer.is_authorized(&request.unwrap(), &policies, &entities);
        assert!(answer.diagnostics().errors().next().is_none());
        answer.decision() == Decision::Allow
    })
}

fn reference(name: &str) -> RestrictedExpression {
    RestrictedExpression::new_entity_uid(uid(name))
}

/// `role:x` is `Role::"x"`.
fn uid(name: &str) -> EntityUid {
    let (kind, id) = name.split_once(':').unwrap();
    let kind = match kind {
        "caller" => "Caller",
        "role" => "Role",
        "entrance" => "Entrance",
        "zone" => "Zone",
        other => panic!("no kind of name: {other}"),
    };
    EntityUid::from_type_name_and_id(kind.parse().unwrap(), EntityId::new(id))
}
