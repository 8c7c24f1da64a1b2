-- Delete dead letters. ARGV: ids. Returns '1' or '0' for each.

local function delete(id)
    local h = head(id)
    if not h then -- a purge that failed has deleted it, or the server has evicted it
        call('DEL', P .. 'x:' .. id)
        for _, queue in ipairs(call('HKEYS', P .. 'queues')) do call('ZREM', P .. 'd:' .. queue, id) end
        return call('ZREM', P .. 'dead', id) == 1
    end
    local queue = h.queue
    if h.damaged then
        local state
        state, queue = locate(id)
        if state ~= 'dead' then return false end
    elseif h.state ~= DEAD then
        return false
    end
    delete_dead_letter(id, h, queue)
    if queue then forget_if_empty(queue) end
    return true
end

local answers = {}
for i, id in ipairs(ARGV) do answers[i] = delete(id) and '1' or '0' end
return table.concat(answers)
