-- Store schedules. ARGV: clock offset; for each its id, definition, rhythm, next time ('' or a float in seconds)
-- and application. Returns the revisions.

local now = clock(tonumber(ARGV[1]))

-- A claim of a record that can no longer be read must not fire the new one.
local function unused_revision()
    return math.floor(now / 1000000) % 2147483648 + 1
end

local function put(id, definition, rhythm, next_at, declared_by)
    local old = schedule_row(id)
    local s = old and unpack_state(old[3])
    local fields = {'d', definition, 'r', rhythm, 'b', declared_by}
    local is_whole = s and old[1] ~= ''
    if not call('ZSCORE', AN, id) then ids_of_new = {0, id} end
    local given = next_at ~= '' and unpack_from('>d', next_at) or nil
    if not s then
        s = {revision = old and unused_revision() or 1, flags = 0, fired = 0}
        set_next(s, given, now)
    elseif is_whole and old[1] == definition then
        local was_orphaned = band(s.flags, ORPHANED) ~= 0
        s.flags = band(s.flags, bnot(ORPHANED))
        s.seen = now
        local keep = was_orphaned and keep_schedule or keep_claimed
        keep(id, s, 'b', declared_by)
        return s
    else
        s.flags = band(s.flags, bnot(ORPHANED))
        s.revision = s.revision + 1
        local next_time = given
        if is_whole and old[2] == rhythm then next_time = s.next_at end
        set_next(s, next_time, now)
    end
    s.seen = now
    keep_schedule(id, s, unpack(fields))
    return s
end

local revisions = {}
for at = 2, #ARGV, 5 do
    local s = put(ARGV[at], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4])
    write_schedules() -- the next one may be the same schedule
    revisions[#revisions + 1] = s.revision
end
return revisions
