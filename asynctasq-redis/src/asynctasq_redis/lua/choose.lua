-- Choose messages for a page of a listing. ARGV: clock offset, limit, state; filters by queue, task, owner,
-- first and last time of enqueue, reason and type of error ('' for none); then ids, in order. Returns the time,
-- the number of ids that it has read, and ids and rows (rows.lua) of the chosen ones in turn. It stops at the
-- limit, or after MOST_BYTES.

local now = clock(tonumber(ARGV[1]))
local limit, state = tonumber(ARGV[2]), ARGV[3]
local queue, task, owner = ARGV[4], ARGV[5], ARGV[6]
local since, before, reason, error_type = tonumber(ARGV[7]), tonumber(ARGV[8]), ARGV[9], ARGV[10]
local wanted_state = state == 'dead' and DEAD or WAITING
local beginning = sub(task, -1) == '*' and sub(task, 1, -2)

-- Return whether a message obviously belongs to another task, as most do. False if it needs a closer look.
local function is_of_another_task(id)
    local value = call('GETRANGE', P .. 'm:' .. id, 0, 255)
    local flags, high, low = byte(value, 2), byte(value, HEAD_BYTES + 1, HEAD_BYTES + 2)
    if not low or band(flags, bor(UNIQUE, DAMAGED)) ~= 0 then return false end
    local at = HEAD_BYTES + high * 256 + low + 6 -- see `task_of`
    local kind = byte(value, at)
    if not kind or kind < 0xa0 or kind > 0xbf then return false end
    local wanted = beginning or task
    if not beginning and kind - 0xa0 ~= #task then return true end
    return sub(value, at + 1, at + #wanted) ~= wanted
end

local function has_task(id, h)
    if task == '' then return true end
    local name = task_of(id, h)
    if beginning then return sub(name, 1, #beginning) == beginning end
    return name == task
end

-- The type of an error is a class with its module. A filter without a dot is the name of a class.
local function has_error(id)
    local stored = call('HGET', P .. 'x:' .. id, 'e')
    if not stored then return false end
    local read, parts = pcall(cmsgpack.unpack, stored)
    local found = read and type(parts) == 'table' and parts[1]
    if type(found) ~= 'string' then return false end
    return found == error_type
        or not string.find(error_type, '.', 1, true) and string.match(found, '([^.]*)$') == error_type
end

local function is_leased(id, h)
    local lease = lease_of(id)
    if state ~= 'running' then return not lease end
    return lease ~= nil and (owner == '' or lease.owner == owner)
end

local function is_chosen(id)
    local h = head(id)
    if not h then return false end
    if h.damaged then
        return task == '' and owner == '' and error_type == '' and not (since and since > 0)
            and (reason == '' or reason == 'undecodable')
            and locate(id) == (state == 'running' and 'leased' or state)
    end
    if h.state ~= wanted_state or queue ~= '' and h.queue ~= queue then return false end
    if since and h.enqueued < since or before and h.enqueued >= before then return false end
    if not has_task(id, h) then return false end
    if state ~= 'dead' then return is_leased(id, h) end
    return (reason == '' or call('HGET', P .. 'x:' .. id, 'r') == reason)
        and (error_type == '' or has_error(id))
end

local rows, room, looked_at = {}, MOST_BYTES, 0
for i = 11, #ARGV do
    if #rows >= limit * 2 then break end
    local id = ARGV[i]
    if (task == '' or not is_of_another_task(id)) and is_chosen(id) then
        local key = P .. 'm:' .. id
        local size = call('STRLEN', key)
        if size > room and #rows > 0 then break end
        room = room - size
        rows[#rows + 1] = id
        rows[#rows + 1] = row_of(id, call('GET', key))
    end
    looked_at = looked_at + 1
end
return {whole(now), looked_at, rows}
