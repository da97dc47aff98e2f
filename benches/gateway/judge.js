// What nginx's script judges: the entrance that the body names.
const allowed = { @ENTRANCES@ };

function grant(r) {
    let entrance;
    try {
        entrance = JSON.parse(r.requestText).acs_entrance_id;
    } catch (e) {
        r.return(400, '{"error":{"type":"invalid_input","message":"not JSON"},"ok":false}');
        return;
    }
    r.variables.entrance = String(entrance);
    if (allowed[entrance] !== true) {
        r.return(403, '{"error":{"type":"forbidden","message":"policy does not allow this grant"},"ok":false}');
        return;
    }
    r.internalRedirect('@seam');
}

export default { grant };
