//! Taking a gateway off the register that will not come back.

use uuid::Uuid;

use super::error::DatabaseError;
use super::link::Access;
use super::read::RETIRED;

/// Takes a gateway off: nobody speaks for it any more, nor adds to its log, which stays.
///
/// # Errors
/// [`DatabaseError`]; nothing is changed then.
pub async fn retire(access: &Access, replica: Uuid) -> Result<(), DatabaseError> {
    let mut client = access.connect(None).await?;
    let change = client.transaction().await?;
    // Of a token that nobody has.
    let forget = "UPDATE replica SET token_sha256 = sha256(convert_to(gen_random_uuid()::text, 'UTF8')) \
                  WHERE replica_id = $1";
    change.execute(forget, &[&replica]).await?;
    let tell = "UPDATE replica_beat SET state = $2 WHERE replica_id = $1";
    change.execute(tell, &[&replica, &RETIRED]).await?;
    change.commit().await?;
    Ok(())
}
